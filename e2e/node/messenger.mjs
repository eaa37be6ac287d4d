// Conversations: contacts whose chains are verified, sessions with their devices, and
// the contents of messages.

import { EventEmitter } from 'node:events';

import { signal } from './libsignal.mjs';
import { pad, unpad } from './padding.mjs';
import { Content, decode, encode } from './protos.mjs';
import { base64, fromBase64 } from './rest.mjs';
import { uuidBytes, uuidText, uuidV7 } from './uuids.mjs';

const WHISPER = 'CIPHERTEXT_TYPE_WHISPER';
const PREKEY = 'CIPHERTEXT_TYPE_PREKEY';
const TYPES = {
  [signal.CiphertextMessageType.Whisper]: WHISPER,
  [signal.CiphertextMessageType.PreKey]: PREKEY,
};
const MAX_ATTEMPTS = 3;

/** Emits `message` with `{from, device, text, counter, id}` for each text that arrives. */
export class Messenger extends EventEmitter {
  #device;
  #rest;
  #socket = null;
  #chains;
  #counters = new Map();
  #seen = new Set();
  #incoming = Promise.resolve();

  constructor(device, rest, chains) {
    super();
    this.#device = device;
    this.#rest = rest;
    this.#chains = chains;
    device.stores.identities.certify = (uuid, id, key) => this.#certifies(uuid, id, key);
  }

  /** Takes over a socket: what it delivers is decrypted, handed on, and acknowledged. */
  attach(socket) {
    this.#socket = socket;
    socket.on('deliver', (envelopes) => {
      // One after the other: each decryption changes the ratchet that the next one needs.
      this.#incoming = this.#incoming
        .then(() => this.#takeAll(envelopes))
        .catch((error) => this.emit('fault', error));
    });
  }

  /** Sends a text to an account, given by its id or UUID, and waits until it is durable. */
  async sendText(account, text) {
    const contact = await this.#chains.account(account);
    const counter = (this.#counters.get(contact.uuid) ?? 0) + 1;
    const own = await this.#chains.account(this.#device.account.uuid);
    const content = pad(encode(Content, {
      v: 1,
      message_id: uuidV7(),
      counter,
      sent_at_ms: Date.now(),
      sender_head: headOf(own),
      recipient_head: headOf(contact),
      text: { body: text },
    }));
    const clientMsgId = base64(uuidV7());
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const answer = await this.#socket.request({
        send: {
          clientMsgId,
          recipient: base64(uuidBytes(contact.uuid)),
          messages: await this.#encryptForAll(contact.uuid, content),
        },
      });
      if (answer.accepted) {
        this.#counters.set(contact.uuid, counter);
        return;
      }
      if (!answer.deviceMismatch) throw new Error(`refused: ${JSON.stringify(answer.error)}`);
      await this.#learn(contact.uuid, answer.deviceMismatch);
    }
    throw new Error('the devices of the recipient change faster than we can follow');
  }

  async #encryptForAll(uuid, content) {
    const contact = await this.#chains.account(uuid);
    const devices = [...contact.devices.values()].filter((device) => device.live);
    await this.#openSessions(contact, devices);
    const messages = [];
    for (const device of devices) {
      const message = await signal.signalEncrypt(
        content,
        addressOf(contact, device.id),
        this.#ownAddress(),
        this.#device.stores.sessions,
        this.#device.stores.identities,
      );
      messages.push({
        deviceId: device.id,
        registrationId: device.registrationId,
        type: TYPES[message.type()],
        ciphertext: base64(message.serialize()),
      });
    }
    return messages;
  }

  async #openSessions(contact, devices) {
    const missing = [];
    for (const device of devices) {
      const session = await this.#device.stores.sessions.getSession(addressOf(contact, device.id));
      if (!session?.hasCurrentState()) missing.push(device.id);
    }
    if (missing.length === 0) return;
    const { devices: bundles } = await this.#rest.bundles(contact.uuid, missing);
    for (const bundle of bundles) {
      await signal.processPreKeyBundle(
        readBundle(bundle),
        addressOf(contact, bundle.device_id),
        this.#ownAddress(),
        this.#device.stores.sessions,
        this.#device.stores.identities,
      );
    }
  }

  async #takeAll(envelopes) {
    for (const envelope of envelopes) {
      if (!this.#seen.has(envelope.id)) await this.#take(envelope);
      this.#seen.add(envelope.id);
    }
    this.#socket.ack(envelopes.map((envelope) => envelope.id));
  }

  async #take(envelope) {
    const from = await this.#chains.account(uuidText(fromBase64(envelope.sender)));
    const plaintext = await this.#decrypt(from, envelope);
    const content = decode(Content, unpad(Buffer.from(plaintext)));
    // Receipts come too, and what else this client does not show.
    if (content.v !== 1 || content.body !== 'text') return;
    await this.#compareHeads(from, content);
    this.emit('message', {
      from: from.text,
      device: envelope.senderDevice,
      text: content.text.body,
      counter: content.counter,
      id: uuidText(content.message_id),
    });
  }

  #decrypt(from, envelope) {
    const { sessions, identities, prekeys, signedPrekeys, kyberPrekeys } = this.#device.stores;
    const bytes = fromBase64(envelope.ciphertext);
    const address = addressOf(from, envelope.senderDevice);
    const parties = [address, this.#ownAddress(), sessions, identities];
    if (envelope.type === PREKEY) {
      const message = signal.PreKeySignalMessage.deserialize(bytes);
      return signal.signalDecryptPreKey(message, ...parties, prekeys, signedPrekeys, kyberPrekeys);
    }
    return signal.signalDecrypt(signal.SignalMessage.deserialize(bytes), ...parties);
  }

  /**
   * What the other side says of both chains must be what the server shows us. Not every
   * message says it.
   */
  async #compareHeads(from, { sender_head: theirs, recipient_head: ours }) {
    const claims = [
      [from.uuid, theirs],
      [this.#device.account.uuid, ours],
    ];
    for (const [uuid, head] of claims.filter(([, head]) => head)) {
      const { hashes } = await this.#chains.account(uuid, head.seq);
      if (!hashes[head.seq]?.equals(head.hash)) {
        throw new Error('the server shows the two sides different chains');
      }
    }
  }

  async #certifies(uuid, deviceId, key) {
    const contact = await this.#chains.account(uuid);
    const device = contact.devices.get(deviceId);
    return Boolean(device?.live && device.identityKey.equals(key));
  }

  async #learn(uuid, { missing = [], extra = [], stale = [] }) {
    const contact = await this.#chains.fetch(uuid);
    for (const id of [...extra, ...stale]) {
      this.#device.stores.sessions.forget(addressOf(contact, id));
    }
    if (missing.some((id) => !contact.devices.get(id)?.live)) {
      throw new Error('the server names a device that is not in the chain');
    }
  }

  #ownAddress() {
    return addressOf(this.#device.account, this.#device.id);
  }
}

function addressOf({ uuid }, deviceId) {
  return signal.ProtocolAddress.new(uuid, deviceId);
}

const headOf = ({ seq, head }) => (seq === 0 ? { hash: head } : { seq, hash: head });

function readBundle({ registration_id, device_id, identity_key, signed_ec, one_time_ec, kyber }) {
  const publicKey = (text) => signal.PublicKey.deserialize(fromBase64(text));
  return signal.PreKeyBundle.new(
    registration_id,
    device_id,
    one_time_ec ? one_time_ec.key_id : null,
    one_time_ec ? publicKey(one_time_ec.public_key) : null,
    signed_ec.key_id,
    publicKey(signed_ec.public_key),
    fromBase64(signed_ec.signature),
    publicKey(identity_key),
    kyber.key_id,
    signal.KEMPublicKey.deserialize(fromBase64(kyber.public_key)),
    fromBase64(kyber.signature),
  );
}
