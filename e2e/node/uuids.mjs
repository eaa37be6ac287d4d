// UUIDs, as bytes and as text.

import { randomBytes } from 'node:crypto';

export function uuidText(bytes) {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function uuidBytes(text) {
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

/** RFC 9562: 48 bits of time, the rest random. */
export function uuidV7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes;
}
