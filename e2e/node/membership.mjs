// One group of this device: the MLS state, and where in the log it stands.

import { policyIn, whoIs } from './group_context.mjs';
import { isNamed, nameIn, open as openMetadata, seal } from './group_metadata.mjs';
import { demandAllowed } from './group_rules.mjs';
import { pad, unpad } from './padding.mjs';
import { Content, GroupEntryKind as Kind, decode, encode } from './protos.mjs';
import { base64 } from './rest.mjs';
import { uuidV7 } from './uuids.mjs';

export class Membership {
  #mls;
  #metadata = null;
  #pending = null;
  #sent = new Set();

  /** `cursor` is the entry that led to the state. */
  constructor({ id, generation, mls, cursor, metadata = null }) {
    this.id = id;
    this.generation = generation;
    this.cursor = cursor;
    this.#mls = mls;
    this.#metadata = metadata;
  }

  get mls() {
    return this.#mls;
  }

  get metadata() {
    return this.#metadata;
  }

  /** What it is called; `null` where that is not known. */
  get name() {
    return this.#metadata && nameIn(this.#metadata);
  }

  /** Those in it, as `{index, account, device}`. */
  get members() {
    return this.#mls.members.map(({ index, identity }) => ({ index, ...whoIs(identity) }));
  }

  /** Whether a commit was made here that the log has not shown yet. */
  get isWaiting() {
    return this.#pending !== null;
  }

  /** A commit as the server takes it. It counts once the log shows it. */
  async commit(what) {
    const { commit, welcome, next } = await this.#mls.commit(what);
    this.#pending = { commit, next };
    return bodyOf({ commit, welcome, next, metadata: this.#metadata });
  }

  /** Forgets a commit that did not win. */
  giveUp() {
    this.#pending = null;
  }

  /** A text as the server takes it. The same `id` again is the same text. */
  async write(text, id = uuidV7()) {
    const content = pad(encode(Content, { v: 1, message_id: id, sent_at_ms: Date.now(), text: { body: text } }));
    const { epoch } = this.#mls;
    const { message, next } = await this.#mls.encrypt(content);
    this.#mls = next;
    this.#sent.add(id.toString('hex'));
    return { generation: this.generation, epoch, id, message };
  }

  /** Takes the next entry of the log in. Gives `{from, device, text}` where it is a text. */
  async take(entry) {
    if (entry.seq !== this.cursor + 1) throw new Error('an entry of the log is missing');
    const text = await this.#takeIn(entry);
    this.cursor = entry.seq;
    return text;
  }

  async #takeIn({ kind, epoch, generation, message, client_msg_id: id, sealed_metadata: sealed }) {
    if (generation !== this.generation) throw new Error('the group has begun anew');
    switch (kind) {
      case Kind.GROUP_ENTRY_KIND_MESSAGE:
        return this.#sent.has(id.toString('hex')) ? null : this.#read(message);
      case Kind.GROUP_ENTRY_KIND_COMMIT:
        await this.#follow(message);
        if (!this.#mls.isOut) await this.learn(sealed);
        return null;
      case Kind.GROUP_ENTRY_KIND_PROPOSAL:
        this.#mls = await this.#mls.follow(message);
        return null;
      case Kind.GROUP_ENTRY_KIND_METADATA:
        if (epoch === this.#mls.epoch) await this.learn(sealed);
        return null;
      default:
        throw new Error(`there is no use here for an entry of the kind ${kind}`);
    }
  }

  async #follow(commit) {
    const ours = this.#pending?.commit.equals(commit);
    const judge = (change) => demandAllowed(this.#mls.extensions, this.members, change);
    this.#mls = ours ? this.#pending.next : await this.#mls.follow(commit, judge);
    this.#pending = null;
  }

  async #read(message) {
    const { from, plaintext, next } = await this.#mls.decrypt(message);
    this.#mls = next;
    const content = decode(Content, unpad(plaintext));
    if (content.v !== 1 || content.body !== 'text') return null;
    const { account, device } = whoIs(from.identity);
    return { from: account, device, text: content.text.body };
  }

  /** Learns what the group is called, from what its policy names and somebody has sealed. */
  async learn(sealed) {
    const policy = policyIn(this.#mls.extensions);
    if (this.#metadata && isNamed(this.#metadata, policy)) return;
    this.#metadata = sealed.length > 0 ? await openMetadata(this.#mls, sealed, policy) : null;
  }
}

/** What the server wants of a commit. */
export async function bodyOf({ commit, welcome, next, metadata }) {
  const isCurrent = metadata && isNamed(metadata, policyIn(next.extensions));
  return {
    commit: base64(commit),
    group_info: base64(await next.groupInfo()),
    ...(welcome && { welcome: base64(welcome) }),
    ...(isCurrent && { sealed_metadata: base64(await seal(next, metadata)) }),
  };
}
