// What Sotto puts into MLS: whom a leaf stands for, and what a group is held to.

import { encodeRequiredCapabilities } from 'ts-mls';

import { externalSenders, readExternalSenders } from './external_senders.mjs';
import { GroupPolicy, LeafIdentity, decode, encode, isCanonical } from './protos.mjs';
import { accountText } from './sigchain.mjs';

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

/** Whom a leaf stands for, as `{account, device}`. */
export function whoIs(identity) {
  const read = readLeafIdentity(identity);
  if (!read) throw new Error('a leaf stands for nobody');
  return { account: accountText(read.account_id), device: read.device_id };
}

/** What a group is held to: accounts as texts, the hash in hexadecimal. */
export function policyIn(extensions) {
  const extension = extensions.find(isPolicy);
  const bytes = Buffer.from(extension?.extensionData ?? '');
  const policy = decode(GroupPolicy, bytes);
  if (policy.v !== 1 || !isCanonical(GroupPolicy, bytes)) throw new Error('the group has no policy');
  return {
    metadataVersion: policy.metadata_version,
    metadataHash: policy.metadata_hash.toString('hex'),
    admins: policy.admins.map(accountText),
    membersMayAdd: policy.members_may_add,
  };
}

/** Whether extensions differ in nothing but the policy. */
export function isSameButPolicy(some, others) {
  const rest = (extensions) =>
    extensions
      .filter((extension) => !isPolicy(extension))
      .map(({ extensionType, extensionData }) => `${extensionType} ${Buffer.from(extensionData).toString('hex')}`);
  return rest(some).join() === rest(others).join();
}

const isPolicy = ({ extensionType }) => extensionType === POLICY_EXTENSION;

/** Whether a group names this external sender, and nobody else. */
export function isWatchedBy(group, { signatureKey, identity }) {
  const [sender, ...others] = readExternalSenders(group.extensions);
  return (
    others.length === 0 &&
    signatureKey.equals(sender?.signaturePublicKey ?? '') &&
    identity.equals(sender.credential.identity)
  );
}
