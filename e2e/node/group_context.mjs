// What Sotto puts into MLS: whom a leaf stands for, and what a group is held to.

import { encodeRequiredCapabilities } from 'ts-mls';

import { externalSenders, readExternalSenders } from './external_senders.mjs';
import { GroupPolicy, LeafIdentity, decode, encode, isCanonical } from './protos.mjs';

const POLICY_EXTENSION = 0xf050;

/** What the basic credential of a leaf says: a device of an account. */
export const leafIdentity = (accountId, deviceId) =>
  encode(LeafIdentity, { v: 1, account_id: accountId, device_id: deviceId });

/** Whom a leaf stands for, as `{account_id, device_id}`; `null` where that is nobody. */
export function readLeafIdentity(bytes) {
  if (!isCanonical(LeafIdentity, bytes)) return null;
  const identity = decode(LeafIdentity, bytes);
  return identity.v === 1 && identity.account_id.length === 32 ? identity : null;
}

/** The extensions of a new group, in the order that they have to be in. */
export function newExtensions({ admin, metadataHash, sender }) {
  const required = { extensionTypes: [POLICY_EXTENSION], proposalTypes: [], credentialTypes: ['basic'] };
  const policy = { v: 1, metadata_version: 1, metadata_hash: metadataHash, admins: [admin] };
  return [
    { extensionType: 'required_capabilities', extensionData: encodeRequiredCapabilities(required) },
    externalSenders(sender.signatureKey, sender.identity),
    { extensionType: POLICY_EXTENSION, extensionData: new Uint8Array(encode(GroupPolicy, policy)) },
  ];
}

/** What a group is held to. */
export function policyOf(group) {
  const extension = group.extensions.find(({ extensionType }) => extensionType === POLICY_EXTENSION);
  if (!extension) throw new Error('the group has no policy');
  return decode(GroupPolicy, Buffer.from(extension.extensionData));
}

/** Whether a group names this external sender, and nobody else. */
export function isWatchedBy(group, { signatureKey, identity }) {
  const [sender, ...others] = readExternalSenders(group.extensions);
  return (
    others.length === 0 &&
    signatureKey.equals(sender?.signaturePublicKey ?? '') &&
    identity.equals(sender.credential.identity)
  );
}
