// Ed25519 with raw 32-byte keys, which Node takes only inside ASN.1.

import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';

const SPKI_HEADER = Buffer.from('302a300506032b6570032100', 'hex');

export class SigningKey {
  #privateKey;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#privateKey = privateKey;
    /** The 32 bytes of the public half. */
    this.public = publicKey.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEADER.length);
  }

  /** Signs bytes; 64 bytes. */
  sign(message) {
    return sign(null, message, this.#privateKey);
  }

  /** The private half, for a library that signs by itself. */
  pkcs8() {
    return this.#privateKey.export({ type: 'pkcs8', format: 'der' });
  }
}

export function verifyEd25519(publicKey, message, signature) {
  const key = createPublicKey({
    key: Buffer.concat([SPKI_HEADER, publicKey]),
    type: 'spki',
    format: 'der',
  });
  return verify(null, message, key, signature);
}
