// Groups over the delivery service: makes and joins them, changes them, and follows
// their logs.

import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';

import { decompress } from 'fzstd';

import { isWatchedBy, leafIdentity, newExtensions, readLeafIdentity } from './group_context.mjs';
import { hashOf, newMetadata, seal } from './group_metadata.mjs';
import { Membership, bodyOf } from './membership.mjs';
import { MlsGroup, newKeyPackage, recipients } from './mls.mjs';
import { GroupEntryKind } from './protos.mjs';
import { base64, fromBase64 } from './rest.mjs';
import { accountText } from './sigchain.mjs';
import { uuidBytes, uuidText } from './uuids.mjs';

const MAX_ATTEMPTS = 10;
const PAGE = 500;
const MOVED = ['epoch_taken', 'proposals_missing', 'stale_member', 'stale_epoch'];

/**
 * Emits `message` with `{group, from, device, text}` for each text, `joined` and `changed`
 * with `{group}`, and `fault`.
 */
export class Groups extends EventEmitter {
  #device;
  #rest;
  #chains;
  #socket = null;
  #keyPackages = [];
  #groups = new Map();
  #turn = Promise.resolve();

  constructor(device, rest, chains) {
    super();
    this.#device = device;
    this.#rest = rest;
    this.#chains = chains;
  }

  /** Takes over a socket: what it says of groups is followed. */
  attach(socket) {
    this.#socket = socket;
    const follow = (work) => this.#inTurn(work).catch((error) => this.emit('fault', error));
    socket.on('groupHeads', ({ heads = [] }) => follow(() => this.#meet(heads)));
    socket.on('groupDeliver', (frame) => follow(() => this.#hear(frame)));
  }

  /** Publishes a last-resort KeyPackage and `count` for one use each. */
  async publishKeyPackages(count) {
    const [lastResort, ...oneTime] = await Promise.all(
      Array.from({ length: count + 1 }, (_, index) => this.#newKeyPackage(index === 0)),
    );
    this.#keyPackages.push({ ...lastResort, stays: true }, ...oneTime);
    return this.#rest.putKeys('packages', {
      one_time: oneTime.map(({ bytes }) => base64(bytes)),
      last_resort: base64(lastResort.bytes),
    });
  }

  /** Makes a group of which this account is the admin; gives its id. */
  create(name) {
    return this.#inTurn(async () => {
      const id = randomUUID();
      const metadata = newMetadata(name);
      const extensions = newExtensions({
        admin: this.#device.account.id,
        metadataHash: hashOf(metadata),
        sender: await this.#externalSender(),
      });
      const keyPackage = await this.#newKeyPackage(false);
      const mls = await MlsGroup.begin(mlsId(id, 0), keyPackage, extensions, this.#certify);
      const { seq } = await this.#rest.createGroup({
        group_info: base64(await mls.groupInfo({ withTree: true })),
        sealed_metadata: base64(await seal(mls, metadata)),
      });
      this.#groups.set(id, new Membership({ id, generation: 0, mls, cursor: seq, metadata }));
      return id;
    });
  }

  /** Adds all devices of these accounts. */
  add(id, accounts) {
    let claimed = null;
    return this.#change(id, async () => {
      claimed ??= await this.#rest.claimKeyPackages(accounts);
      const devices = claimed.flatMap((account) => account.devices);
      return { add: devices.map((device) => fromBase64(device.key_package)) };
    });
  }

  /** Removes all devices of an account. */
  remove(id, account) {
    return this.#change(id, ({ members }) => {
      const theirs = members.filter((member) => member.account === account);
      return { remove: theirs.map(({ index }) => index) };
    });
  }

  /** Renews the own leaf, and does what was proposed. */
  update(id) {
    return this.#change(id, () => ({}));
  }

  /** Asks to be taken out: somebody else's next commit does it. */
  leave(id) {
    return this.#inTurn(async () => {
      const membership = this.#find(id);
      await this.#catchUp(membership);
      await this.#rest.propose(id, base64(await membership.mls.proposeLeaving()));
      await this.#catchUp(membership);
    });
  }

  /** Comes in by a commit from outside, whatever was known before. */
  rejoin(id) {
    return this.#inTurn(() =>
      this.#attempt(async () => {
        const { generation, epoch, group_info: info } = await this.#rest.groupInfo(id);
        const tree = decompress(await this.#rest.groupTree(id, generation, epoch));
        const keyPackage = await this.#newKeyPackage(false);
        const metadata = this.#groups.get(id)?.metadata ?? null;
        const { commit, next } = await MlsGroup.joinFromOutside(
          fromBase64(info),
          tree,
          keyPackage,
          this.#groups.has(id),
          this.#certify,
        );
        const { seq } = await this.#rest.commit(id, await bodyOf({ commit, next }));
        await this.#enter({ id, generation, mls: next, cursor: seq, metadata });
      }),
    );
  }

  /** Sends a text, and waits until it stands in the log. */
  send(id, text) {
    return this.#inTurn(async () => {
      const membership = this.#find(id);
      let name;
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
        const written = await membership.write(text, name);
        name = written.id;
        const answer = await this.#socket.request({ groupSend: frameOf(id, written) });
        if (answer.groupAccepted) return;
        if (!answer.groupStale) throw new Error(`refused: ${JSON.stringify(answer.error)}`);
        await this.#catchUp(membership);
      }
      throw new Error('the group moves on faster than we can follow');
    });
  }

  /** What this device knows of a group. */
  show(id) {
    return this.#inTurn(async () => {
      const { mls, name, members, cursor } = this.#find(id);
      const { epoch, isOut: out, hasProposals: proposals } = mls;
      return { epoch, name, members, cursor, out, proposals };
    });
  }

  #find(id) {
    const membership = this.#groups.get(id);
    if (!membership) throw new Error('this device is not in that group');
    return membership;
  }

  /** Commits what `plan` wants of the group as it stands, until it stands in the log. */
  #change(id, plan) {
    return this.#inTurn(() =>
      this.#attempt(async () => {
        const membership = this.#find(id);
        await this.#catchUp(membership);
        const body = await membership.commit(await plan(membership));
        try {
          await this.#rest.commit(id, body);
          await this.#catchUp(membership);
        } finally {
          membership.giveUp();
        }
      }),
    );
  }

  /** Does something again where others were quicker. */
  async #attempt(work) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (!MOVED.includes(error.reason) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** The server says where logs end. */
  async #meet(heads) {
    const known = heads.map(({ group }) => this.#inside(group));
    if (known.some((membership) => !membership)) await this.#comeIn();
    for (const [place, { seq }] of heads.entries()) {
      if (known[place] && Number(seq) > known[place].cursor) await this.#catchUp(known[place]);
    }
  }

  /** Entries that came unasked. */
  async #hear({ group, entries }) {
    const membership = this.#inside(group);
    if (!membership) return;
    const fresh = entries.map(entryOf).filter(({ seq }) => seq > membership.cursor);
    if (fresh[0]?.seq === membership.cursor + 1) await this.#takeAll(membership, fresh);
    else if (fresh.length > 0) await this.#catchUp(membership);
  }

  /** A group by the name that frames have for it, while this device is in it. */
  #inside(group) {
    const membership = this.#groups.get(uuidText(fromBase64(group)));
    return membership?.mls.isOut ? undefined : membership;
  }

  /** Joins by all Welcomes that wait. */
  async #comeIn() {
    for (const { group, generation, epoch, seq, welcome } of await this.#rest.welcomes()) {
      const bytes = fromBase64(welcome);
      const [reference, ...others] = recipients(bytes);
      const keyPackage = this.#keyPackages.find((one) => one.reference.equals(reference));
      if (others.length > 0 || !keyPackage) throw new Error('the Welcome is not for this device alone');
      const tree = decompress(await this.#rest.groupTree(group, generation, epoch));
      const mls = await MlsGroup.join(bytes, tree, keyPackage, this.#certify);
      if (!keyPackage.stays) this.#keyPackages.splice(this.#keyPackages.indexOf(keyPackage), 1);
      await this.#enter({ id: group, generation, mls, cursor: seq });
      await this.#rest.deleteWelcome(group, generation, epoch);
      this.emit('joined', { group });
    }
  }

  /** Is in a group from now on, by the entry at the cursor. */
  async #enter(group) {
    const { id, generation, mls, cursor } = group;
    const isRight = mls.id.equals(mlsId(id, generation)) && isWatchedBy(mls, await this.#externalSender());
    if (!isRight) throw new Error('the group is not the one that it should be');
    const membership = new Membership(group);
    const { entries } = await this.#rest.groupLog(id, cursor - 1, 1);
    await membership.learn(entries[0].sealed_metadata);
    this.#groups.set(id, membership);
    await this.#catchUp(membership);
  }

  async #catchUp(membership) {
    for (;;) {
      const { entries, head_seq: end } = await this.#rest.groupLog(membership.id, membership.cursor, PAGE);
      await this.#takeAll(membership, entries);
      const isDone = membership.cursor >= end || entries.length === 0;
      if (isDone || membership.mls.isOut) return;
    }
  }

  async #takeAll(membership, entries) {
    for (const entry of entries) {
      // The entry that takes this device out is the last that it can read.
      if (membership.mls.isOut) break;
      const text = await membership.take(entry);
      const { id: group } = membership;
      if (text) this.emit('message', { group, ...text });
      if (entry.kind !== GroupEntryKind.GROUP_ENTRY_KIND_MESSAGE) this.emit('changed', { group });
    }
    this.#socket?.ackGroup(base64(uuidBytes(membership.id)), membership.cursor);
  }

  #newKeyPackage(lastResort) {
    const { account, id, mlsKey } = this.#device;
    return newKeyPackage(leafIdentity(account.id, id), mlsKey, { lastResort });
  }

  async #externalSender() {
    const { signature_key: key, credential } = await this.#rest.externalSender();
    return { signatureKey: fromBase64(key), identity: fromBase64(credential) };
  }

  /** Whether the chain of an account has the device live, with this MLS key. */
  #certify = async (identity, key) => {
    const leaf = readLeafIdentity(identity);
    if (!leaf) return false;
    const name = accountText(leaf.account_id);
    const has = ({ devices }) => {
      const device = devices.get(leaf.device_id);
      return Boolean(device?.live && device.mlsKey.equals(key));
    };
    return has(await this.#chains.account(name)) || has(await this.#chains.fetch(name));
  };

  /** One thing after the other: each leaves the state that the next one needs. */
  #inTurn(work) {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

/** The id of a generation of a group in MLS. */
function mlsId(id, generation) {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(generation);
  return Buffer.concat([uuidBytes(id), number]);
}

function frameOf(id, { generation, epoch, id: clientMsgId, message }) {
  return {
    group: base64(uuidBytes(id)),
    generation,
    epoch: String(epoch),
    clientMsgId: base64(clientMsgId),
    message: base64(message),
  };
}

/** An entry as the socket has it, in the form of the log. */
function entryOf(frame) {
  const bytes = (text = '') => fromBase64(text);
  return {
    seq: Number(frame.seq),
    kind: GroupEntryKind[frame.kind],
    generation: frame.generation ?? 0,
    epoch: Number(frame.epoch ?? 0),
    message: bytes(frame.message),
    client_msg_id: bytes(frame.clientMsgId),
    sealed_metadata: bytes(frame.sealedMetadata),
  };
}
