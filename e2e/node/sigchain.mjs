// The sigchain as a second implementation reads and writes it: one that was written
// from the `.proto` files and their comments.

import { createHash, randomBytes } from 'node:crypto';

import { verifyEd25519 } from './ed25519.mjs';
import { signal } from './libsignal.mjs';
import { Op, decode, encode, isCanonical } from './protos.mjs';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const NOT_A_KEY = Buffer.alloc(32, 0xff);

/** The hash that the next op names; that of genesis is the account id. */
export function linkHash(payload) {
  return createHash('sha256').update('sotto/link/v1').update(payload).digest();
}

/** `acct:` and 52 characters of lower-case base32 without padding. */
export function accountText(id) {
  let text = 'acct:';
  let bits = 0;
  let value = 0;
  for (const byte of id) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >>> bits) & 31];
      value &= (1 << bits) - 1;
    }
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

/** The first 16 bytes of an account id as a UUIDv8. */
export function accountUuid(id) {
  const bytes = Buffer.from(id.subarray(0, 16));
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return uuidText(bytes);
}

export function uuidText(bytes) {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function uuidBytes(text) {
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

/**
 * Opens an account with one device, which is its admin, and one recovery key.
 *
 * Gives the signed op as `{payload, sigs}`.
 */
export function genesis({ device, accountKey, recoveryKey, home, nowMs }) {
  const firstDevice = {
    device_id: device.id,
    device_key: device.deviceKey.public,
    identity_key: Buffer.from(device.identity.publicKey.serialize()),
    mls_key: device.mlsKey.public,
    registration_id: device.registrationId,
    admin: true,
  };
  const op = {
    v: 1,
    ts_ms: nowMs,
    genesis: {
      recovery: { threshold: 1, keys: [recoveryKey.public] },
      account_key: accountKey.public,
      first_device: firstDevice,
      nonce16: randomBytes(16),
      home,
    },
  };

  const bare = encode(Op, op);
  firstDevice.rsig_device = device.deviceKey.sign(rsigMessage('device', bare));
  firstDevice.rsig_identity = Buffer.from(
    device.identity.privateKey.sign(rsigMessage('identity', bare)),
  );
  firstDevice.rsig_mls = device.mlsKey.sign(rsigMessage('mls', bare));

  const payload = encode(Op, op);
  const sigs = [accountKey, recoveryKey].map((key) => ({
    key: key.public,
    sig: key.sign(signingMessage(payload)),
  }));
  return { payload, sigs };
}

/** Follows a chain from its genesis on, and gives the account that it leads to. */
export function replay(ops) {
  const [first, ...rest] = ops;
  return rest.reduce(apply, open(first));
}

/** The account after one more op. */
export function apply(account, signed) {
  const op = decodeOp(signed.payload);
  demand(op.body !== 'genesis', 'a chain has one genesis');
  demand(op.account_id.equals(account.id), 'the op belongs to another account');
  demand(op.seq === account.seq + 1, 'the op is not the next one');
  demand(op.prev.equals(account.head), 'the op does not follow the head');
  demand(!account.rotationDue || op.body === 'rotate_account', 'a rotation is due');
  return {
    ...account,
    ...change(account, op, signed),
    seq: op.seq,
    head: linkHash(signed.payload),
    hashes: [...account.hashes, linkHash(signed.payload)],
  };
}

function open(signed) {
  const op = decodeOp(signed.payload);
  const body = op.genesis;
  demand(op.body === 'genesis' && op.seq === 0, 'a chain begins with its genesis');
  demand(op.account_id.length === 0 && op.prev.length === 0, 'genesis follows nothing');
  const { threshold, keys } = body.recovery;
  demand(threshold >= 1 && threshold <= keys.length, 'the threshold fits the recovery set');
  const signers = keys.filter((key) => signed.sigs.some((sig) => sig.key.equals(key)));
  demand(signers.length === threshold, 'as many recovery keys signed as the threshold says');
  demandSigned(signed, [body.account_key, ...signers]);
  const id = linkHash(signed.payload);
  return {
    id,
    text: accountText(id),
    uuid: accountUuid(id),
    accountKey: body.account_key,
    seq: 0,
    head: id,
    hashes: [id],
    handle: null,
    rotationDue: false,
    devices: new Map([[1, newDevice(signed.payload, body.first_device)]]),
  };
}

function change(account, op, signed) {
  switch (op.body) {
    case 'add_device': {
      const id = op.add_device.device_id;
      demand(!account.devices.has(id), 'a device id is never used twice');
      demandSigned(signed, [account.accountKey]);
      return { devices: new Map(account.devices).set(id, newDevice(signed.payload, op.add_device)) };
    }
    case 'revoke_device': {
      const id = op.revoke_device.device_id;
      const device = account.devices.get(id);
      demand(device?.live, 'only a live device can be revoked');
      const bySelf = signed.sigs.some((sig) => sig.key.equals(device.deviceKey));
      demandSigned(signed, [bySelf ? device.deviceKey : account.accountKey]);
      const devices = new Map(account.devices).set(id, { ...device, live: false });
      return { devices, rotationDue: device.admin };
    }
    case 'rotate_account': {
      const accountKey = op.rotate_account.account_key;
      demandSigned(signed, [account.accountKey, accountKey]);
      return { accountKey, rotationDue: false };
    }
    case 'set_handle':
      demandSigned(signed, [account.accountKey]);
      return { handle: op.set_handle.handle };
    default:
      throw new Error(`the op ${op.body ?? 'without a body'} is not known here`);
  }
}

function decodeOp(payload) {
  demand(isCanonical(Op, payload), 'encoding what was decoded gives the same bytes');
  const op = decode(Op, payload);
  demand(op.v === 1, 'the op is of version 1');
  return op;
}

function newDevice(payload, body) {
  demand(body.device_id >= 1 && body.device_id <= 127, 'the device id is in range');
  const bare = withoutRsigs(payload);
  const identityKey = signal.PublicKey.deserialize(body.identity_key);
  demand(
    verifyEd25519(body.device_key, rsigMessage('device', bare), body.rsig_device) &&
      identityKey.verify(rsigMessage('identity', bare), body.rsig_identity) &&
      verifyEd25519(body.mls_key, rsigMessage('mls', bare), body.rsig_mls),
    'each key of the device signed that it wants to be there',
  );
  return {
    id: body.device_id,
    deviceKey: body.device_key,
    identityKey,
    registrationId: body.registration_id,
    admin: body.admin,
    live: true,
  };
}

/** The op without the reverse signatures of the device that it adds. */
function withoutRsigs(payload) {
  const op = Op.decode(payload);
  const device = op.genesis ? op.genesis.first_device : op.add_device;
  delete device.rsig_device;
  delete device.rsig_identity;
  delete device.rsig_mls;
  return Buffer.from(Op.encode(op).finish());
}

function rsigMessage(kind, bare) {
  const label = Buffer.from(`sotto/rsig-${kind}/v1`);
  return Buffer.concat(kind === 'identity' ? [NOT_A_KEY, label, bare] : [label, bare]);
}

function signingMessage(payload) {
  return Buffer.concat([Buffer.from('sotto/op/v1'), payload]);
}

/** Demands a signature by each of these keys, and none besides. */
function demandSigned(signed, keys) {
  demand(signed.sigs.length === keys.length, 'the op has the signatures that it needs');
  for (const key of keys) {
    const found = signed.sigs.find((sig) => sig.key.equals(key));
    demand(
      found && verifyEd25519(key, signingMessage(signed.payload), found.sig),
      'each signature verifies',
    );
  }
}

function demand(condition, what) {
  if (!condition) throw new Error(`the chain is not valid, for this does not hold: ${what}`);
}
