// Where libsignal keeps its records: in memory, for as long as the process lives.

import { signal } from './libsignal.mjs';

const nameOf = (address) => `${address.name()}.${address.deviceId()}`;

class Sessions extends signal.SessionStore {
  #records = new Map();

  async saveSession(address, record) {
    this.#records.set(nameOf(address), record.serialize());
  }

  async getSession(address) {
    const record = this.#records.get(nameOf(address));
    return record ? signal.SessionRecord.deserialize(record) : null;
  }

  async getExistingSessions(addresses) {
    return Promise.all(addresses.map((address) => this.getSession(address)));
  }

  forget(address) {
    this.#records.delete(nameOf(address));
  }
}

/**
 * Trusts an identity key if the chain of its account certifies it for that device:
 * `certify(accountUuid, deviceId, key)` says whether it does.
 */
class Identities extends signal.IdentityKeyStore {
  certify = async () => false;
  #pair;
  #registrationId;
  #known = new Map();

  constructor(pair, registrationId) {
    super();
    this.#pair = pair;
    this.#registrationId = registrationId;
  }

  async getIdentityKey() {
    return this.#pair.privateKey;
  }

  async getIdentityKeyPair() {
    return this.#pair;
  }

  async getLocalRegistrationId() {
    return this.#registrationId;
  }

  async saveIdentity(address, key) {
    const known = this.#known.get(nameOf(address));
    this.#known.set(nameOf(address), key);
    return known && !known.equals(key)
      ? signal.IdentityChange.ReplacedExisting
      : signal.IdentityChange.NewOrUnchanged;
  }

  async isTrustedIdentity(address, key) {
    return this.certify(address.name(), address.deviceId(), key);
  }

  async getIdentity(address) {
    return this.#known.get(nameOf(address)) ?? null;
  }
}

class Prekeys extends signal.PreKeyStore {
  #records = new Map();

  async savePreKey(id, record) {
    this.#records.set(id, record);
  }

  async getPreKey(id) {
    return found(this.#records, id);
  }

  async removePreKey(id) {
    this.#records.delete(id);
  }
}

class SignedPrekeys extends signal.SignedPreKeyStore {
  #records = new Map();

  async saveSignedPreKey(id, record) {
    this.#records.set(id, record);
  }

  async getSignedPreKey(id) {
    return found(this.#records, id);
  }
}

class KyberPrekeys extends signal.KyberPreKeyStore {
  #records = new Map();
  /** Ids of keys that a session was opened with. */
  used = [];

  async saveKyberPreKey(id, record) {
    this.#records.set(id, record);
  }

  async getKyberPreKey(id) {
    return found(this.#records, id);
  }

  async markKyberPreKeyUsed(id) {
    this.used.push(id);
  }
}

function found(records, id) {
  const record = records.get(id);
  if (!record) throw new Error('a message needs a prekey that this device does not have');
  return record;
}

export class Stores {
  constructor(identity, registrationId) {
    this.sessions = new Sessions();
    this.identities = new Identities(identity, registrationId);
    this.prekeys = new Prekeys();
    this.signedPrekeys = new SignedPrekeys();
    this.kyberPrekeys = new KyberPrekeys();
  }
}
