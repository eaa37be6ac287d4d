// The extension `external_pub` of a GroupInfo, with which others come in from outside.
//
// It holds an HPKE key behind its length (RFC 9420, 12.4.3.2 and 5.1.1). ts-mls 1.6 writes
// and reads it without, so GroupInfos are put together here, and the library is given a
// suite that takes a key with its length.

import { createGroupInfo } from 'ts-mls/createCommit.js';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { varLenDataEncoder } from 'ts-mls/codec/variableLength.js';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';

/** Bytes of a public key of X25519. */
const KEY_BYTES = 32;

/** A GroupInfo of the epoch of a state, signed by its member. */
export async function groupInfoOf(state, { withTree }, suite) {
  const { publicKey } = await suite.hpke.deriveKeyPair(state.keySchedule.externalSecret);
  const key = await suite.hpke.exportPublicKey(publicKey);
  const extensions = [{ extensionType: 'external_pub', extensionData: encode(varLenDataEncoder)(key) }];
  if (withTree) {
    extensions.push({ extensionType: 'ratchet_tree', extensionData: encodeRatchetTree(state.ratchetTree) });
  }
  return createGroupInfo(state.groupContext, state.confirmationTag, state, extensions, suite);
}

/** The suite, which takes a key with its length for the key. */
export function readingExternalPub(suite) {
  const { hpke } = suite;
  const hasLength = (key) => key.length === KEY_BYTES + 1 && key[0] === KEY_BYTES;
  const importPublicKey = (key) => hpke.importPublicKey(hasLength(key) ? key.slice(1) : key);
  return { ...suite, hpke: { ...hpke, importPublicKey } };
}
