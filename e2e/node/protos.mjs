// The messages of `proto/`, read from the files themselves: nothing that the Rust
// side generates is used here.

import { fileURLToPath } from 'node:url';

import protobuf from 'protobufjs';

const PROTO = fileURLToPath(new URL('../../proto/', import.meta.url));

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith(PROTO) ? target : PROTO + target);
const FILES = [
  'sotto/identity/v1/identity.proto',
  'sotto/content/v1/content.proto',
  'sotto/groups/v1/groups.proto',
];
root.loadSync(FILES, { keepCase: true });

export const Op = root.lookupType('sotto.identity.v1.Op');
export const SignedOp = root.lookupType('sotto.identity.v1.SignedOp');
export const Content = root.lookupType('sotto.content.v1.Content');
export const GroupMetadata = root.lookupType('sotto.groups.v1.GroupMetadata');
export const GroupPolicy = root.lookupType('sotto.groups.v1.GroupPolicy');
export const LeafIdentity = root.lookupType('sotto.groups.v1.LeafIdentity');
export const GroupEntryKind = root.lookupEnum('sotto.socket.v1.GroupEntryKind').values;
export const LogPage = root.lookupType('sotto.groups.v1.LogPage');

/** Encodes a message. Fields at their default must be left out of `fields`, as proto3 does. */
export function encode(type, fields) {
  return Buffer.from(type.encode(type.fromObject(fields)).finish());
}

/** Decodes to a plain object: bytes as Buffer, numbers as numbers, defaults filled in. */
export function decode(type, bytes) {
  return type.toObject(type.decode(bytes), {
    longs: Number,
    bytes: Buffer,
    defaults: true,
    arrays: true,
    oneofs: true,
  });
}

/** Splits a stream of messages that each stand behind their own length. */
export function decodeDelimited(type, bytes) {
  const reader = protobuf.Reader.create(bytes);
  const messages = [];
  while (reader.pos < reader.len) {
    messages.push(
      type.toObject(type.decodeDelimited(reader), { bytes: Buffer, arrays: true, defaults: true }),
    );
  }
  return messages;
}

/** Whether encoding what was decoded gives the same bytes again. */
export function isCanonical(type, bytes) {
  return Buffer.from(type.encode(type.decode(bytes)).finish()).equals(bytes);
}

/**
 * Splits off the last field of a message where its number is `first` or higher, and says
 * whether there was one. It is length-delimited and in its shortest form, or this throws.
 */
export function splitLast(bytes, first) {
  const reader = protobuf.Reader.create(bytes);
  let start = 0;
  let number = 0;
  while (reader.pos < reader.len) {
    start = reader.pos;
    const tag = reader.uint32();
    number = tag >>> 3;
    reader.skipType(tag & 7);
  }
  if (number < first) return [bytes, false];
  const field = protobuf.Reader.create(bytes.subarray(start));
  const writer = protobuf.Writer.create().uint32(((number << 3) | 2) >>> 0);
  const again = (field.uint32() & 7) === 2 && writer.bytes(field.bytes()).finish();
  if (!again || !Buffer.from(again).equals(bytes.subarray(start))) {
    throw new Error('the last field is not in its one form');
  }
  return [bytes.subarray(0, start), true];
}
