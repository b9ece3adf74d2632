/**
 * What must never be printed: controls, what breaks lines or turns the direction, what nobody sees, halves of surrogate
 * pairs, more than four combining marks in a row. Written here again, and not taken from the program, so that the two
 * can differ.
 */
export const unsafe = new RegExp(
  String.raw`[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB\u{E0000}-\u{E0FFF}\u034F\u115F\u1160\u180B-\u180F\u2800\u3164\uFE00-\uFE0F\uFFA0]|\p{Cs}|\p{Co}|\p{M}{5}`,
  'u',
);
