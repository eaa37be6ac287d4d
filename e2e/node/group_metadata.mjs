// What a group is called and looks like: sealed under a key of the epoch, and named by
// its hash in the policy, which is in the clear.

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

import { GroupMetadata, decode, encode } from './protos.mjs';

const EXPORTER_LABEL = 'sotto/group/metadata/v1';
const KEY_BYTES = 32;
const CIPHER = 'chacha20-poly1305';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const STEP = 256;
const MARK = 0x80;

/** Metadata of a new group, encoded. */
export const newMetadata = (name) =>
  encode(GroupMetadata, { v: 1, salt: randomBytes(32), version: 1, ...(name && { name }) });

export const hashOf = (metadata) => createHash('sha256').update(metadata).digest();

/** Whether a policy names these metadata. */
export const isNamed = (metadata, { metadataHash }) => hashOf(metadata).toString('hex') === metadataHash;

/** Seals encoded metadata for the epoch of a group. */
export async function seal(group, metadata) {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, await keyOf(group), nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(contextOf(group));
  const padded = Buffer.alloc(Math.ceil((metadata.length + 1) / STEP) * STEP);
  padded.set(metadata);
  padded[metadata.length] = MARK;
  return Buffer.concat([nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
}

/** Opens metadata of the epoch of a group, and holds them against its policy. */
export async function open(group, sealed, policy) {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, await keyOf(group), nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(contextOf(group));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const body = sealed.subarray(NONCE_BYTES, -TAG_BYTES);
  const padded = Buffer.concat([decipher.update(body), decipher.final()]);
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (padded[end] !== MARK) throw new Error('the metadata are not padded as they should be');
  const metadata = padded.subarray(0, end);
  if (!isNamed(metadata, policy)) {
    throw new Error('the metadata are not those that the policy names');
  }
  return metadata;
}

export const nameIn = (metadata) => decode(GroupMetadata, metadata).name;

const keyOf = (group) => group.exportSecret(EXPORTER_LABEL, KEY_BYTES);

function contextOf({ id, epoch }) {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(epoch));
  return Buffer.concat([id, number]);
}
