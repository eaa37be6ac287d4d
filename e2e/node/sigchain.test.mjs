// The chain of `crates/identity/tests/vectors`, followed op by op.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { replay, apply } from './sigchain.mjs';

const FILE = new URL('../../crates/identity/tests/vectors/sigchain.json', import.meta.url);
const vectors = JSON.parse(readFileSync(FILE));

const fromHex = (text) => Buffer.from(text, 'hex');
const signedOf = ({ payload, sigs }) => ({
  payload: fromHex(payload),
  sigs: sigs.map(({ key, sig }) => ({ key: fromHex(key), sig: fromHex(sig) })),
});
const ops = vectors.ops.map(signedOf);
const until = (name) => ops.slice(0, vectors.ops.findIndex(({ op }) => op === name) + 1);

test('each op leads to the link hash that follows it', () => {
  const account = replay(ops);
  assert.equal(account.text, vectors.account_id);
  assert.equal(account.uuid, vectors.uuid);
  const hashes = account.hashes.map((hash) => hash.toString('hex'));
  assert.deepEqual(hashes, vectors.ops.map(({ link_hash }) => link_hash));
});

test('what the ops do is seen in the account', () => {
  assert.equal(replay(until('set_handle')).handle, 'alice');
  assert.equal(replay(until('drop_handle')).handle, null);
  assert.equal(replay(until('add_endpoint')).endpoints.size, 1);
  assert.equal(replay(until('drop_endpoint')).endpoints.size, 0);
  const [before, after] = [replay(until('drop_handle')), replay(until('set_recovery'))];
  assert.notDeepEqual(after.recovery.keys, before.recovery.keys);

  const recovered = replay(until('recover'));
  assert.ok(recovered.adminDue);
  assert.ok(![...recovered.devices.values()].some((device) => device.live));
  assert.deepEqual(
    [...replay(ops).devices.values()].filter((device) => device.live).map(({ id, admin }) => [id, admin]),
    [[3, true]],
  );
});

test('an op without one of its signatures is refused, and one with a wrong one', () => {
  ops.forEach((signed, index) => {
    const before = ops.slice(0, index);
    signed.sigs.forEach((_, missing) => {
      const sigs = signed.sigs.filter((_, at) => at !== missing);
      assert.throws(() => replay([...before, { ...signed, sigs }]), vectors.ops[index].op);
      const wrong = signed.sigs.map(({ key, sig }, at) => ({
        key,
        sig: at === missing ? Buffer.alloc(sig.length) : sig,
      }));
      assert.throws(() => replay([...before, { ...signed, sigs: wrong }]), vectors.ops[index].op);
    });
  });
});

test('after a recovery nothing follows but an admin', () => {
  const recovered = replay(until('recover'));
  const isRefusal = /an admin device is due/;
  const [, , handle] = ops;
  const body = handle.payload.subarray(handle.payload.lastIndexOf(0x82));
  assert.throws(() => apply(recovered, nextOp(recovered, body)), isRefusal);
});

/** An op with this body that would follow the head, if somebody signed it. */
function nextOp(account, body) {
  const field = (tag, bytes) => [Buffer.from([tag, bytes.length]), bytes];
  const payload = Buffer.concat([
    Buffer.from([0x08, 1]),
    ...field(0x12, account.id),
    Buffer.from([0x18, account.seq + 1]),
    ...field(0x22, account.head),
    body,
  ]);
  return { payload, sigs: [] };
}
