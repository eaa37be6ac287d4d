// The rules of a group, as `crates/mls/src/policy` has them.

import assert from 'node:assert/strict';
import test from 'node:test';

import { leafIdentity, newExtensions, whoIs } from './group_context.mjs';
import { demandAllowed } from './group_rules.mjs';
import { COMMITTER, SERVER } from './mls.mjs';
import { GroupPolicy, encode } from './protos.mjs';

const account = (number) => Buffer.alloc(32, number);
const [ALICE, BOB, CAROL] = [1, 2, 3].map(account);
const sender = { signatureKey: Buffer.alloc(32, 9), identity: Buffer.from('service') };
const extensions = newExtensions({ admin: ALICE, metadataHash: Buffer.alloc(32, 7), sender });

/** Alice, an admin, with the leaves 0 and 1; Bob with the leaf 2. */
const members = [[ALICE, 1], [ALICE, 2], [BOB, 1]].map(([id, device], index) => ({
  index,
  ...whoIs(leafIdentity(id, device)),
}));

const add = (id, device = 1) => ({ by: COMMITTER, kind: 'add', identity: leafIdentity(id, device) });
const remove = (index, by = COMMITTER) => ({ by, kind: 'remove', index });
const policy = (fields) => ({
  by: COMMITTER,
  kind: 'group_context_extensions',
  extensions: extensions.map((extension) =>
    extension.extensionType === 0xf050
      ? {
          ...extension,
          extensionData: encode(GroupPolicy, {
            v: 1,
            metadata_version: 1,
            metadata_hash: Buffer.alloc(32, 7),
            admins: [ALICE],
            ...fields,
          }),
        }
      : extension,
  ),
});
const judge = (committer, proposals, renewed = null) =>
  demandAllowed(extensions, members, { committer, renewed, proposals });
const outside = (id, device, ...proposals) =>
  judge(null, [{ by: COMMITTER, kind: 'external_init' }, ...proposals], leafIdentity(id, device));

test('admins do what they like, and others what is theirs', () => {
  judge(0, [add(CAROL), remove(2)]);
  judge(0, [policy({ admins: [ALICE, BOB], members_may_add: true })]);
  judge(0, [policy({ metadata_version: 2, metadata_hash: Buffer.alloc(32, 8) })]);
  judge(2, [], leafIdentity(BOB, 1));
  judge(2, [add(BOB, 2)]);
  judge(2, [remove(1, SERVER), remove(0, 0)]);
  outside(BOB, 1, remove(2));
  outside(BOB, 2);
});

test('what belongs to others is refused', () => {
  const refused = (why, act) => assert.throws(act, new RegExp(why), why);
  refused('added by admins', () => judge(2, [add(CAROL)]));
  refused('removed by admins', () => judge(2, [remove(0)]));
  refused('removed by admins', () => judge(0, [remove(1, 2)]));
  refused('changed by admins', () => judge(2, [policy({ admins: [BOB] })]));
  refused('same device', () => judge(2, [], leafIdentity(BOB, 2)));
  refused('once', () => judge(0, [add(BOB)]));
  refused('the leaf is there', () => judge(0, [remove(5)]));
  refused('new admins', () => judge(0, [policy({ admins: [ALICE, CAROL] })]));
  refused('an admin is left', () => judge(0, [remove(0, 0), remove(1)]));
  refused('counts the metadata', () => judge(0, [policy({ metadata_version: 2 })]));
  refused('other extensions', () => judge(0, [{ ...policy({}), extensions: policy({}).extensions.slice(1) }]));
  refused('kind of proposal', () => judge(0, [{ by: COMMITTER, kind: 'psk' }]));
  refused('kind of proposal', () => judge(0, [{ ...add(CAROL), by: 0 }]));
  refused('kind of proposal', () => judge(0, [{ by: COMMITTER, kind: 'external_init' }]));
  refused('account is in the group', () => outside(CAROL, 1));
  refused('own leaf alone', () => outside(BOB, 1, remove(0)));
  refused('nothing else', () => outside(BOB, 2, add(CAROL)));
  refused('once', () => outside(BOB, 1));
});
