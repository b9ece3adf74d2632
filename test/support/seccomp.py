"""usage: seccomp.py CALL ARGUMENT ERROR COMMAND [WORD...]

Runs COMMAND with a system call that fails: a call with this first argument (`any`: with every one) returns the error,
as under a strict seccomp profile. Example: seccomp.py socket 16 EPERM node server.js
"""
import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    'x86_64': {'socket': 41, 'clone3': 435, 'prlimit64': 302, 'io_uring_setup': 425},
    'aarch64': {'socket': 198, 'clone3': 435, 'prlimit64': 261, 'io_uring_setup': 425},
}
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
SET_NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2


class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('code', ctypes.c_char_p)]


def step(code, value, if_true=0, if_false=0):
    return struct.pack('HBBI', code, if_true, if_false, value)


call, argument, error, *command = sys.argv[1:]
steps = [step(LOAD, 0), step(JUMP_IF_EQUAL, NUMBERS[platform.machine()][call], 0, 1 if argument == 'any' else 3)]
if argument != 'any':
    # The lower half of the first argument.
    steps += [step(LOAD, 16), step(JUMP_IF_EQUAL, int(argument), 0, 1)]
steps += [step(RETURN, FAIL | getattr(errno, error)), step(RETURN, ALLOW)]

libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(steps), b''.join(steps))
if libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
    sys.exit('cannot set a filter: ' + os.strerror(ctypes.get_errno()))
os.execvp(command[0], command)
