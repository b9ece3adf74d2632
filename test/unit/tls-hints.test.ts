/** Which fault each error of a TLS connection shows. The errors were recorded from Node 20 and 24, gRPC and Docker. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tlsFault, tlsHint, tlsMessage, type TlsFault } from '../../src/tls/hints.ts';

/** As OpenSSL writes an error, in Node 20 and in Node 24. */
const openssl = (reason: string): string =>
  `80EC88BE367F0000:error:0A000410:SSL routines:ssl3_read_bytes:${reason}:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 40\n`;
const node24 = 'if the root CA is installed locally, try running Node.js with --use-system-ca';
const altnames =
  "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: ";
const grpc = (error: string): string =>
  `14 UNAVAILABLE: No connection established. Last error: ${error}. Resolution note: `;

const rows: [code: string | null, message: string, fault: TlsFault | null][] = [
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', 'unknown-authority'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', 'unknown-authority'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate', 'unknown-authority'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'unable to get local issuer certificate', 'unknown-authority'],
  ['CERT_SIGNATURE_FAILURE', 'certificate signature failure', 'unknown-authority'],
  [null, grpc('Error: self-signed certificate'), 'unknown-authority'],
  [null, grpc(`Error: unable to verify the first certificate; ${node24}`), 'unknown-authority'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', altnames, 'wrong-name'],
  [null, grpc(`Error [ERR_TLS_CERT_ALTNAME_INVALID]: ${altnames}`), 'wrong-name'],
  ['CERT_HAS_EXPIRED', 'certificate has expired', 'expired'],
  [null, grpc('Error: certificate has expired'), 'expired'],
  ['CERT_NOT_YET_VALID', 'certificate is not yet valid', 'not-yet-valid'],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', openssl('sslv3 alert handshake failure'), 'certificate-refused'],
  ['EPROTO', `write EPROTO ${openssl('sslv3 alert handshake failure')}`, 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', openssl('sslv3 alert bad certificate'), 'certificate-refused'],
  ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', openssl('ssl/tls alert bad certificate'), 'certificate-refused'],
  [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    openssl('tlsv13 alert certificate required'),
    'certificate-refused',
  ],
  [null, grpc(openssl('tlsv13 alert certificate required')), 'certificate-refused'],
  [null, 'status: sslv3 alert certificate expired', 'certificate-refused'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', openssl('tlsv1 alert unknown ca'), 'certificate-refused'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', openssl('wrong version number'), 'not-tls'],
  ['EPROTO', `write EPROTO ${openssl('wrong version number')}`, 'not-tls'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', openssl('packet length too long'), 'not-tls'],
  ['ERR_SSL_DATA_LENGTH_TOO_LONG', openssl('data length too long'), 'not-tls'],
  [null, '(HTTP code 400) unexpected - Client sent an HTTP request to an HTTPS server. ', 'tls-expected'],
  [
    'ECONNRESET',
    'Client network socket disconnected before secure TLS connection was established',
    'handshake-closed',
  ],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', openssl('tlsv1 alert protocol version'), null],
  ['ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:8000', null],
  ['ECONNRESET', 'read ECONNRESET', null],
  ['ECONNRESET', 'socket hang up', null],
  [null, grpc('Failed to connect (2026-11-26T06:24:18.689Z)'), null],
  ['HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/', null],
  ['ENOENT', "ENOENT: no such file or directory, open '/run/ca.pem'", null],
];

const errorOf = (code: string | null, message: string): Error =>
  Object.assign(new Error(message), code === null ? {} : { code });

describe('a TLS fault', () => {
  for (const [code, message, fault] of rows) {
    it(`${code ?? 'no code'}, ${tlsMessage(message).slice(0, 80)}: ${fault}`, () => {
      assert.equal(tlsFault(errorOf(code, message)), fault);
      // An error that wraps another often has its message alone.
      assert.equal(tlsFault(new Error(`status: ${message}`)), fault);
      assert.equal(tlsFault(tlsMessage(message)), fault);
    });
  }

  it('is known by its code alone', () => {
    for (const [code, fault] of [
      ['CERT_HAS_EXPIRED', 'expired'],
      ['CERT_NOT_YET_VALID', 'not-yet-valid'],
      ['ERR_TLS_CERT_ALTNAME_INVALID', 'wrong-name'],
      ['DEPTH_ZERO_SELF_SIGNED_CERT', 'unknown-authority'],
    ] as const)
      assert.equal(tlsFault(errorOf(code, '')), fault);
  });

  it('has the hint that the connection gives for it', () => {
    assert.equal(tlsHint('certificate has expired', { expired: 'renew it' }), 'renew it');
    assert.equal(tlsHint('certificate has expired', { 'not-tls': 'use http' }), undefined);
    assert.equal(tlsHint('socket hang up', { 'not-tls': 'use http' }), undefined);
  });
});

describe('the message of a TLS error', () => {
  const messages: [what: string, message: string, text: string][] = [
    ['as it is', 'certificate has expired', 'certificate has expired'],
    ['without what OpenSSL adds', openssl('wrong version number'), 'wrong version number'],
    [
      'after what Node was doing',
      `write EPROTO ${openssl('wrong version number')}`,
      'write EPROTO wrong version number',
    ],
    [
      "without Node's advice",
      `unable to verify the first certificate; ${node24}`,
      'unable to verify the first certificate',
    ],
    ["without Node's advice, through gRPC", grpc(`x; ${node24}`), grpc('x').trim()],
  ];
  for (const [what, message, text] of messages) it(what, () => assert.equal(tlsMessage(message), text));
});
