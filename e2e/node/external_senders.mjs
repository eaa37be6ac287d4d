// The extension `external_senders` of a GroupContext, as RFC 9420 (12.1.8.1) has it: a
// list.
//
// ts-mls 1.6 takes it for one sender and refuses the list, in a new group and in a commit
// that changes the extensions. A type that it does not know it passes on as it is, so it
// is shown the number of the extension there, which has the same bytes, and not its name.

import { decodeExternalSender } from 'ts-mls';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { decodeVarLenType, varLenTypeEncoder } from 'ts-mls/codec/variableLength.js';
import { externalSenderEncoder } from 'ts-mls/externalSender.js';

const NAME = 'external_senders';
const NUMBER = 5;

/** The extension for one sender: its Ed25519 key, and what its basic credential says. */
export function externalSenders(signaturePublicKey, identity) {
  const sender = { signaturePublicKey, credential: { credentialType: 'basic', identity } };
  const extensionData = encode(varLenTypeEncoder(externalSenderEncoder))([sender]);
  return { extensionType: NAME, extensionData };
}

/** Those whom a GroupContext names. */
export function readExternalSenders(extensions) {
  const extension = extensions.find(({ extensionType }) => extensionType === NAME);
  if (!extension) return [];
  const { extensionData } = extension;
  const [senders, end] = decodeVarLenType(decodeExternalSender)(extensionData, 0) ?? [];
  if (end !== extensionData.length) throw new Error('this is no list of external senders');
  return senders;
}

export const hideExternalSenders = (extensions) => rename(extensions, NAME, NUMBER);
export const showExternalSenders = (extensions) => rename(extensions, NUMBER, NAME);

function rename(extensions, from, to) {
  return extensions.map((extension) =>
    extension.extensionType === from ? { ...extension, extensionType: to } : extension,
  );
}
