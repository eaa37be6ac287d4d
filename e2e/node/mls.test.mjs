// The door to ts-mls: what is done here because the library does not.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';

import { decodeMlsMessage, encodeMlsMessage, getCiphersuiteFromName, getCiphersuiteImpl } from 'ts-mls';
import { protectExternalProposalPublic } from 'ts-mls/messageProtectionPublic.js';

import { SigningKey } from './ed25519.mjs';
import { isWatchedBy, leafIdentity, newExtensions, policyIn, readLeafIdentity } from './group_context.mjs';
import { hashOf, nameIn, newMetadata, open, seal } from './group_metadata.mjs';
import { MlsGroup, newKeyPackage, recipients } from './mls.mjs';

const suite = await getCiphersuiteImpl(
  getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'),
);
const everybody = async () => true;

class Member {
  key = new SigningKey();
  account = randomBytes(32);

  keyPackage(options) {
    return newKeyPackage(leafIdentity(this.account, 1), this.key, options);
  }
}

const service = { key: new SigningKey(), identity: Buffer.from('sotto/external-sender/v1:here') };
const sender = { signatureKey: service.key.public, identity: service.identity };

/** A group of one, and what it is called. */
async function begin(maker, certify = everybody) {
  const metadata = newMetadata('Tennis');
  const extensions = newExtensions({ admin: maker.account, metadataHash: hashOf(metadata), sender });
  const group = await MlsGroup.begin(randomBytes(20), await maker.keyPackage(), extensions, certify);
  return { group, metadata };
}

/** The tree, as the server would have it. */
async function treeOf(group) {
  const [{ groupInfo }] = decodeMlsMessage(Uint8Array.from(await group.groupInfo({ withTree: true })), 0);
  return groupInfo.extensions.find(({ extensionType }) => extensionType === 'ratchet_tree').extensionData;
}

/** Two people in one group. */
async function pair(certify = everybody) {
  const [alice, bob] = [new Member(), new Member()];
  const { group, metadata } = await begin(alice);
  const keyPackage = await bob.keyPackage({ lastResort: true });
  const { welcome, next } = await group.commit({ add: [keyPackage.bytes] });
  assert.deepEqual(recipients(welcome), [keyPackage.reference]);
  const joined = await MlsGroup.join(welcome, await treeOf(next), keyPackage, certify);
  return { alice: next, bob: joined, bobKey: bob, metadata };
}

const agree = (...groups) => {
  for (const group of groups) assert.deepEqual(group.authenticator, groups[0].authenticator);
};

test('two people are in one group, and read each other and its name', async () => {
  const { alice, bob, metadata } = await pair();
  agree(alice, bob);
  assert.ok(isWatchedBy(bob, sender));
  assert.equal(nameIn(await open(bob, await seal(alice, metadata), policyIn(bob.extensions))), 'Tennis');

  const { message } = await alice.encrypt(Buffer.from('hello'));
  const { from, plaintext } = await bob.decrypt(message);
  assert.equal(plaintext.toString(), 'hello');
  assert.equal(readLeafIdentity(from.identity).device_id, 1);
});

test('a member is removed by a proposal of the external sender, and by nobody else', async () => {
  const { alice, bob } = await pair();
  const propose = async (key) => {
    const [{ groupInfo }] = decodeMlsMessage(Uint8Array.from(await alice.groupInfo()), 0);
    const { publicMessage } = await protectExternalProposalPublic(
      key.pkcs8(),
      groupInfo.groupContext,
      new Uint8Array(),
      { proposalType: 'remove', remove: { removed: 1 } },
      { senderType: 'external', senderIndex: 0 },
      suite,
    );
    return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_public_message', publicMessage });
  };
  await assert.rejects(alice.follow(await propose(new SigningKey())), /Signature invalid/);

  const proposal = await propose(service.key);
  const [heard, alsoHeard] = [await alice.follow(proposal), await bob.follow(proposal)];
  assert.ok(heard.hasProposals);
  const { commit, next } = await heard.commit();
  assert.ok((await alsoHeard.follow(commit)).isOut);
  assert.deepEqual(next.members.map(({ index }) => index), [0]);
});

test('who lost a place comes in again from outside', async () => {
  const { alice, bob, bobKey } = await pair();
  const { commit, next } = await MlsGroup.joinFromOutside(
    await alice.groupInfo(),
    await treeOf(alice),
    await bobKey.keyPackage(),
    true,
    everybody,
  );
  agree(next, await alice.follow(commit));
  assert.equal(next.epoch, bob.epoch + 1);
  assert.equal(next.members.length, 2);
});

test('nobody joins a group with a leaf that no chain certifies', async () => {
  let first;
  const onlyTheFirst = async (_identity, key) => key.equals((first ??= key));
  await assert.rejects(pair(onlyTheFirst), /credential/);
});
