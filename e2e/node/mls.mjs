// MLS (RFC 9420) by ts-mls, which has nothing in common with the library of the server
// and of our client. What is here is MLS alone: no server, no policy, no metadata.

import { webcrypto } from 'node:crypto';

import {
  createApplicationMessage,
  createCommit,
  createGroup,
  createProposal,
  decodeMlsMessage,
  defaultKeyPackageEqualityConfig,
  defaultKeyRetentionConfig,
  defaultLifetimeConfig,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  mlsExporter,
  processPublicMessage,
} from 'ts-mls';
import { processProposal } from 'ts-mls/clientState.js';
import { decodeKeyPackage, encodeKeyPackage, makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js';
import { unprotectPublicMessage } from 'ts-mls/messageProtectionPublic.js';
import { decodeRatchetTree } from 'ts-mls/ratchetTree.js';

import { groupInfoOf, readingExternalPub } from './external_pub.mjs';
import { hideExternalSenders, readExternalSenders, showExternalSenders } from './external_senders.mjs';

// Node 18 has it in its module only.
globalThis.crypto ??= webcrypto;

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519';
const suite = await getCiphersuiteImpl(getCiphersuiteFromName(SUITE));

const POLICY_EXTENSION = 0xf050;
const LAST_RESORT_EXTENSION = 0x000a;

/** Who proposed what a commit does, where it was not a member before. */
export const COMMITTER = 'committer';
export const SERVER = 'server';

const DAY_S = 24n * 3600n;
const CLOCK_SKEW_S = 3600n;

/** What each leaf says that it can. */
const CAPABILITIES = {
  versions: ['mls10'],
  ciphersuites: [SUITE],
  extensions: [POLICY_EXTENSION, LAST_RESORT_EXTENSION],
  proposals: [],
  credentials: ['basic'],
};

/**
 * A KeyPackage with its private halves: `identity` is what the basic credential says,
 * `signingKey` what it signs with.
 */
export async function newKeyPackage(identity, signingKey, { lastResort = false } = {}) {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const lifetime = { notBefore: now - CLOCK_SKEW_S, notAfter: now + 28n * DAY_S };
  const { publicPackage, privatePackage } = await generateKeyPackageWithKey(
    { credentialType: 'basic', identity },
    CAPABILITIES,
    lifetime,
    lastResort ? [{ extensionType: LAST_RESORT_EXTENSION, extensionData: new Uint8Array() }] : [],
    { signKey: signingKey.pkcs8(), publicKey: signingKey.public },
    suite,
  );
  return {
    publicPackage,
    privatePackage,
    bytes: Buffer.from(encodeKeyPackage(publicPackage)),
    reference: Buffer.from(await makeKeyPackageRef(publicPackage, suite.hash)),
  };
}

/** The references of the KeyPackages that a Welcome is for. */
export function recipients(welcome) {
  return open(welcome, 'mls_welcome').welcome.secrets.map(({ newMember }) => Buffer.from(newMember));
}

/**
 * What one member knows of a group in one epoch. It never changes: each step gives the
 * next one, and whoever loses a race goes on with the one before.
 */
export class MlsGroup {
  #state;

  constructor(state) {
    this.#state = state;
  }

  /**
   * A group of one. `certify(identity, signatureKey)` says of each leaf, then and in all
   * that follows, whether it is true.
   */
  static async begin(groupId, keyPackage, extensions, certify) {
    const { publicPackage, privatePackage } = keyPackage;
    const hidden = hideExternalSenders(extensions);
    const state = await createGroup(groupId, publicPackage, privatePackage, hidden, suite, config(certify));
    return new MlsGroup(withExtensions(state, extensions));
  }

  /** Joins by a Welcome, with the tree that came beside it. */
  static async join(welcome, tree, keyPackage, certify) {
    const state = await joinGroup(
      open(welcome, 'mls_welcome').welcome,
      keyPackage.publicPackage,
      keyPackage.privatePackage,
      emptyPskIndex,
      suite,
      readTree(tree),
      undefined,
      config(certify),
    );
    return new MlsGroup(state);
  }

  /** Joins by a commit of its own; `again` where a leaf with the same key stands there. */
  static async joinFromOutside(groupInfo, tree, keyPackage, again, certify) {
    const { publicMessage, newState } = await joinGroupExternal(
      open(groupInfo, 'mls_group_info').groupInfo,
      keyPackage.publicPackage,
      keyPackage.privatePackage,
      again,
      readingExternalPub(suite),
      readTree(tree),
      config(certify),
    );
    return { commit: close('mls_public_message', { publicMessage }), next: new MlsGroup(newState) };
  }

  get id() {
    return Buffer.from(this.#state.groupContext.groupId);
  }

  get epoch() {
    return Number(this.#state.groupContext.epoch);
  }

  get extensions() {
    return this.#state.groupContext.extensions;
  }

  /** Whether a commit has taken this member out. */
  get isOut() {
    return this.#state.groupActiveState.kind === 'removedFromGroup';
  }

  /** Whether something was proposed that the next commit has to contain. */
  get hasProposals() {
    return Object.keys(this.#state.unappliedProposals).length > 0;
  }

  /** The leaves that are not blank, as `{index, identity, signatureKey}`. */
  get members() {
    return this.#state.ratchetTree.flatMap((node, place) =>
      node?.nodeType === 'leaf' ? [memberOf(node.leaf, place / 2)] : [],
    );
  }

  /** What all members of the epoch can tell that they have in common. */
  get authenticator() {
    return Buffer.from(this.#state.keySchedule.epochAuthenticator);
  }

  /** A GroupInfo of this epoch, with which others join by themselves. */
  async groupInfo({ withTree = false } = {}) {
    const groupInfo = await groupInfoOf(this.#state, { withTree }, suite);
    return close('mls_group_info', { groupInfo });
  }

  /**
   * A commit to all that is proposed, and to these: KeyPackages that come in, leaves that
   * go. Where nothing is, it renews the own leaf. Gives `{commit, welcome, next}`.
   */
  async commit({ add = [], remove = [] } = {}) {
    const adds = add.map((bytes) => ({ proposalType: 'add', add: { keyPackage: readKeyPackage(bytes) } }));
    const removes = remove.map((removed) => ({ proposalType: 'remove', remove: { removed } }));
    const { commit, welcome, newState } = await createCommit(
      { state: this.#state, cipherSuite: suite },
      { wireAsPublicMessage: true, extraProposals: [...removes, ...adds] },
    );
    return {
      commit: Buffer.from(encodeMlsMessage(commit)),
      welcome: welcome && close('mls_welcome', { welcome }),
      next: new MlsGroup(newState),
    };
  }

  /** Proposes that somebody else takes this member out. */
  async proposeLeaving() {
    const proposal = { proposalType: 'remove', remove: { removed: this.#state.privatePath.leafIndex } };
    const { message } = await createProposal(this.#state, true, proposal, suite);
    return Buffer.from(encodeMlsMessage(message));
  }

  /**
   * Follows a commit or a proposal of another; gives the group after it.
   *
   * What a commit does, `judge(change)` may refuse by an error. `change.committer` is a leaf,
   * or `null` for somebody who comes in from outside; `renewed` the identity in the leaf that
   * is renewed, if one is; each of the `proposals` has who made it (`by`: a leaf, or one of
   * the two above), its `kind`, and its `identity`, `index` or `extensions`.
   */
  async follow(bytes, judge = () => {}) {
    const { publicMessage } = open(bytes, 'mls_public_message');
    const { content } = publicMessage;
    if (!this.id.equals(content.groupId) || BigInt(this.epoch) !== content.epoch) {
      throw new Error('the message is of another group or epoch');
    }
    if (content.sender.senderType === 'external') {
      return new MlsGroup(await this.#hearFromOutside(publicMessage));
    }
    if (content.contentType === 'commit') {
      judge(this.#changeBy(content));
      hideInCommit(content);
    }
    const { newState } = await processPublicMessage(this.#state, publicMessage, emptyPskIndex, suite);
    const extensions = showExternalSenders(newState.groupContext.extensions);
    return new MlsGroup(withExtensions(newState, extensions));
  }

  async encrypt(plaintext) {
    const { privateMessage, newState } = await createApplicationMessage(this.#state, plaintext, suite);
    return { message: close('mls_private_message', { privateMessage }), next: new MlsGroup(newState) };
  }

  /** Gives `{from, plaintext, next}`; `from` is the leaf of the sender. */
  async decrypt(bytes) {
    const { privateMessage } = open(bytes, 'mls_private_message');
    const { epoch, groupId } = privateMessage;
    if (!this.id.equals(groupId) || BigInt(this.epoch) !== epoch || privateMessage.contentType !== 'application') {
      throw new Error('the message is of another group, epoch or kind');
    }
    const state = this.#state;
    // One layer below `processPrivateMessage`, which does not say who wrote.
    const { content, tree } = await unprotectPrivateMessage(
      state.keySchedule.senderDataSecret,
      privateMessage,
      state.secretTree,
      state.ratchetTree,
      state.groupContext,
      state.clientConfig.keyRetentionConfig,
      suite,
    );
    const { leafIndex } = content.content.sender;
    return {
      from: this.members.find(({ index }) => index === leafIndex),
      plaintext: Buffer.from(content.content.applicationData),
      next: new MlsGroup({ ...state, secretTree: tree }),
    };
  }

  /** A secret that all members of the epoch share. */
  async exportSecret(label, length) {
    const { exporterSecret } = this.#state.keySchedule;
    return Buffer.from(await mlsExporter(exporterSecret, label, new Uint8Array(), length, suite));
  }

  /** What a commit says that it does. */
  #changeBy({ sender, commit: { path, proposals } }) {
    const known = this.#state.unappliedProposals;
    const all = proposals.map(({ proposal, reference }) => {
      if (proposal) return { by: COMMITTER, ...whatDoes(proposal) };
      const heard = known[Buffer.from(reference).toString('base64')];
      if (!heard) throw new Error('the commit refers to something that was not proposed');
      return { by: heard.senderLeafIndex ?? SERVER, ...whatDoes(heard.proposal) };
    });
    return {
      committer: sender.senderType === 'member' ? sender.leafIndex : null,
      renewed: path && Buffer.from(path.leafNode.credential.identity),
      proposals: all,
    };
  }

  /** A proposal of somebody whom the GroupContext lists as an external sender. */
  async #hearFromOutside(publicMessage) {
    const { content } = publicMessage;
    const sender = readExternalSenders(this.extensions)[content.sender.senderIndex];
    if (!sender || content.contentType !== 'proposal' || content.proposal.proposalType !== 'remove') {
      throw new Error('from outside come proposals to remove, by those that the group names');
    }
    const state = this.#state;
    const authenticated = await unprotectPublicMessage(
      state.keySchedule.membershipKey,
      state.groupContext,
      state.ratchetTree,
      publicMessage,
      suite,
      sender.signaturePublicKey,
    );
    return processProposal(state, authenticated, content.proposal, suite.hash);
  }
}

function config(certify) {
  return {
    keyRetentionConfig: defaultKeyRetentionConfig,
    lifetimeConfig: defaultLifetimeConfig,
    keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
    // What is said is padded before it comes here.
    paddingConfig: { kind: 'padUntilLength', padUntilLength: 0 },
    authService: {
      validateCredential: async ({ credentialType, identity }, key) =>
        credentialType === 'basic' && certify(Buffer.from(identity), Buffer.from(key)),
    },
  };
}

function memberOf({ credential, signaturePublicKey }, index) {
  return {
    index,
    identity: Buffer.from(credential.identity),
    signatureKey: Buffer.from(signaturePublicKey),
  };
}

function withExtensions(state, extensions) {
  return { ...state, groupContext: { ...state.groupContext, extensions } };
}

function whatDoes({ proposalType: kind, add, remove, groupContextExtensions }) {
  switch (kind) {
    case 'add':
      return { kind, identity: Buffer.from(add.keyPackage.leafNode.credential.identity) };
    case 'remove':
      return { kind, index: remove.removed };
    case 'group_context_extensions':
      return { kind, extensions: groupContextExtensions.extensions };
    default:
      return { kind };
  }
}

/** Hides the external senders in the extensions that a commit brings, if it does. */
function hideInCommit(content) {
  for (const { proposal } of content.commit.proposals) {
    if (proposal?.proposalType !== 'group_context_extensions') continue;
    const { extensions } = proposal.groupContextExtensions;
    proposal.groupContextExtensions.extensions = hideExternalSenders(extensions);
  }
}

function open(bytes, wireformat) {
  // Not a Buffer, whose slices are views.
  const [message, end] = decodeMlsMessage(Uint8Array.from(bytes), 0) ?? [];
  if (message?.wireformat !== wireformat || end !== bytes.length) {
    throw new Error(`this is no ${wireformat}`);
  }
  return message;
}

function close(wireformat, body) {
  return Buffer.from(encodeMlsMessage({ version: 'mls10', wireformat, ...body }));
}

function readKeyPackage(bytes) {
  return whole(decodeKeyPackage, bytes, 'KeyPackage');
}

function readTree(bytes) {
  return whole(decodeRatchetTree, bytes, 'ratchet tree');
}

function whole(decode, bytes, what) {
  const [value, end] = decode(Uint8Array.from(bytes), 0) ?? [];
  if (end !== bytes.length) throw new Error(`this is no ${what}`);
  return value;
}
