// The sigchain as a second implementation reads and writes it: one that was written
// from the `.proto` files and their comments.

import { createHash, randomBytes } from 'node:crypto';

import { verifyEd25519 } from './ed25519.mjs';
import { signal } from './libsignal.mjs';
import { Op, decode, encode, isCanonical, splitLast } from './protos.mjs';
import { uuidText } from './uuids.mjs';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const NOT_A_KEY = Buffer.alloc(32, 0xff);

/** From this field number on a body that is not known is passed over. */
const FIRST_PASSED_OVER = 1000;

const MAX_RECOVERY_KEYS = 16;
// An op has room for 16 signatures, and one of them is the account key's.
const MAX_THRESHOLD = 15;
const MAX_ENDPOINTS = 16;
const URL = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/;
const MAX_URL = 256;
const ENDPOINT_KINDS = new Set([1, 2, 3, 4, 5]);

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
  demand(!account.adminDue || op.add_device?.admin, 'an admin device is due');
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
  const recovery = newRecovery(body.recovery);
  demandSigned(signed, [body.account_key, ...recoverySigners(recovery, signed)]);
  const device = newDevice(signed.payload, body.first_device);
  demand(device.id === 1 && device.admin, 'the first device has the id 1 and is an admin');
  const taken = [body.account_key, device.deviceKey, device.mlsKey];
  const distinct = new Set([...taken, ...recovery.keys].map(hex));
  demand(distinct.size === 3 + recovery.keys.length, 'each key has one place');
  const id = linkHash(signed.payload);
  return {
    id,
    text: accountText(id),
    uuid: accountUuid(id),
    accountKey: body.account_key,
    recovery,
    // Every key that has, or had, a place here, but for those of the recovery set that
    // there is now.
    taken: new Set(taken.map(hex)),
    seq: 0,
    head: id,
    hashes: [id],
    handle: null,
    endpoints: new Map(),
    rotationDue: false,
    adminDue: false,
    devices: new Map([[1, device]]),
  };
}

function change(account, op, signed) {
  switch (op.body) {
    case 'add_device': {
      const id = op.add_device.device_id;
      demand(!account.devices.has(id), 'a device id is never used twice');
      demandSigned(signed, [account.accountKey]);
      const device = newDevice(signed.payload, op.add_device);
      const afterDevice = take(account, device.deviceKey);
      const taken = take({ ...account, taken: afterDevice }, device.mlsKey);
      return { devices: new Map(account.devices).set(id, device), taken, adminDue: false };
    }
    case 'revoke_device': {
      const id = op.revoke_device.device_id;
      const device = account.devices.get(id);
      demand(device?.live, 'only a live device can be revoked');
      const others = [...account.devices.values()].filter((other) => other.live && other.id !== id);
      demand(!device.admin || others.some((other) => other.admin), 'an admin device is left');
      const bySelf = signed.sigs.some((sig) => sig.key.equals(device.deviceKey));
      demandSigned(signed, [bySelf ? device.deviceKey : account.accountKey]);
      const devices = new Map(account.devices).set(id, { ...device, live: false });
      return { devices, rotationDue: device.admin };
    }
    case 'rotate_account': {
      const accountKey = op.rotate_account.account_key;
      const taken = take(account, accountKey);
      demandSigned(signed, [account.accountKey, accountKey]);
      return { accountKey, taken, rotationDue: false };
    }
    case 'set_recovery': {
      const recovery = newRecovery(op.set_recovery.recovery);
      demand(account.recovery.delayS === 0 && recovery.delayS === 0, 'no recovery has a delay');
      demand(
        recovery.keys.every((key) => !account.taken.has(hex(key))),
        'no key of the recovery set has or had another place',
      );
      demandSigned(signed, recoverySigners(account.recovery, signed));
      const stays = new Set(recovery.keys.map(hex));
      const dropped = account.recovery.keys.map(hex).filter((key) => !stays.has(key));
      return { recovery, taken: new Set([...account.taken, ...dropped]) };
    }
    case 'recover': {
      demand(account.recovery.delayS === 0, 'no recovery has a delay');
      const { account_key: accountKey, keep } = op.recover;
      const taken = take(account, accountKey);
      const kept = keptDevices(account, keep);
      demandSigned(signed, [accountKey, ...recoverySigners(account.recovery, signed)]);
      const devices = new Map();
      for (const [id, device] of account.devices) {
        const stays = device.live && kept.has(id);
        devices.set(id, { ...device, live: stays, admin: stays ? kept.get(id) : device.admin });
      }
      return { accountKey, taken, devices, adminDue: ![...kept.values()].includes(true) };
    }
    case 'set_handle':
      demandSigned(signed, [account.accountKey]);
      return { handle: op.set_handle.handle };
    case 'drop_handle':
      demand(account.handle !== null, 'there is a handle to drop');
      demandSigned(signed, [account.accountKey]);
      return { handle: null };
    case 'add_endpoint': {
      const [name, endpoint] = endpointOf(op.add_endpoint);
      demand(!account.endpoints.has(name), 'the endpoint is not there yet');
      demand(account.endpoints.size < MAX_ENDPOINTS, 'there is room for the endpoint');
      demandSigned(signed, [account.accountKey]);
      return { endpoints: new Map(account.endpoints).set(name, endpoint) };
    }
    case 'drop_endpoint': {
      const [name] = endpointOf(op.drop_endpoint);
      demand(account.endpoints.has(name), 'there is an endpoint to drop');
      demandSigned(signed, [account.accountKey]);
      const endpoints = new Map(account.endpoints);
      endpoints.delete(name);
      return { endpoints };
    }
    case undefined:
      // One that is passed over.
      demandSigned(signed, [account.accountKey]);
      return {};
    default:
      throw new Error(`the op ${op.body} is not known here`);
  }
}

function newRecovery(body) {
  demand(body, 'there is a recovery set');
  const { threshold, keys, delay_s: delayS } = body;
  demand(keys.length <= MAX_RECOVERY_KEYS, 'a recovery set has at most 16 keys');
  demand(keys.every((key) => key.length === 32), 'a recovery key has 32 bytes');
  demand(new Set(keys.map(hex)).size === keys.length, 'no two recovery keys are the same');
  demand(
    threshold >= 1 && threshold <= Math.min(keys.length, MAX_THRESHOLD),
    'the threshold fits the recovery set',
  );
  return { threshold, keys, delayS };
}

/** The keys of the recovery set that signed: as many as its threshold says. */
function recoverySigners({ threshold, keys }, signed) {
  const signers = keys.filter((key) => signed.sigs.some((sig) => sig.key.equals(key)));
  demand(signers.length === threshold, 'as many recovery keys signed as the threshold says');
  return signers;
}

/** The devices that stay through a recovery, by id, and whether each is an admin then. */
function keptDevices(account, keep) {
  const kept = new Map();
  let last = 0;
  for (const { device_id: id, admin } of keep) {
    demand(id > last, 'the devices that are kept stand by rising ids');
    demand(account.devices.get(id)?.live, 'only a live device can be kept');
    kept.set(id, admin);
    last = id;
  }
  return kept;
}

/** What an endpoint is told from others by, and the endpoint. */
function endpointOf({ kind, url }) {
  demand(ENDPOINT_KINDS.has(kind), 'the kind of the endpoint is one that is known here');
  demand(url.length <= MAX_URL && URL.test(url), 'the endpoint has a URL');
  return [`${kind} ${url}`, { kind, url }];
}

/** The keys that have or had a place, and this one, which had none. */
function take(account, key) {
  const known = account.taken.has(hex(key)) || account.recovery.keys.some((other) => other.equals(key));
  demand(!known, 'a key has one place in an account, for ever');
  return new Set(account.taken).add(hex(key));
}

const hex = (bytes) => bytes.toString('hex');

function decodeOp(payload) {
  const [known, passedOver] = splitLast(payload, FIRST_PASSED_OVER);
  demand(isCanonical(Op, known), 'encoding what was decoded gives the same bytes');
  const op = decode(Op, known);
  demand(op.v === 1, 'the op is of version 1');
  demand(Boolean(op.body) !== passedOver, 'the op has one body');
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
    mlsKey: body.mls_key,
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
