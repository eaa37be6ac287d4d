// One device: its keys, what it publishes of them, and its tokens.

import { createHash, randomInt } from 'node:crypto';

import { SigningKey } from './ed25519.mjs';
import { signal } from './libsignal.mjs';
import { base64, fromBase64 } from './rest.mjs';
import { accountText, genesis, linkHash } from './sigchain.mjs';
import { Stores } from './stores.mjs';

const LAST_RESORT = 1;

export class Device {
  constructor() {
    this.id = 1;
    this.registrationId = randomInt(1, 16381);
    this.identity = signal.IdentityKeyPair.generate();
    this.deviceKey = new SigningKey();
    this.mlsKey = new SigningKey();
    this.account = null;
    this.stores = new Stores(this.identity, this.registrationId);
  }

  /** Opens an account with this device as its first. */
  async register(rest, { home, appToken }) {
    const signed = genesis({
      device: this,
      accountKey: new SigningKey(),
      recoveryKey: new SigningKey(),
      home,
      nowMs: Date.now(),
    });
    const id = linkHash(signed.payload);
    const answer = await rest.createAccount(signed, appToken);
    if (answer.account_id !== accountText(id)) {
      throw new Error('the server gave the account another id than it has');
    }
    this.account = { id, text: answer.account_id, uuid: answer.uuid };
    return this.account;
  }

  /** Buys a Sotto token with a token of the app and a proof by the device key. */
  async login(rest, { domain, appToken }) {
    const { challenge } = await rest.challenge();
    const proof = this.deviceKey.sign(
      proofMessage(domain, fromBase64(challenge), this.account.id, this.id, appToken),
    );
    const { token } = await rest.buyToken({
      account_id: this.account.text,
      device_id: this.id,
      challenge,
      app_token: appToken,
      proof: base64(proof),
    });
    rest.token = token;
    return token;
  }

  /** Publishes what others need to write to this device, with `count` one-time keys of a kind. */
  async publishKeys(rest, count) {
    await rest.putKeys('signed', await this.#newSignedPrekey(1));
    const ids = Array.from({ length: count }, (_, index) => index + 1);
    await rest.putKeys('one-time', { keys: await Promise.all(ids.map((id) => this.#newPrekey(id))) });
    await rest.putKeys('kyber', {
      last_resort: await this.#newKyberPrekey(LAST_RESORT),
      one_time: await Promise.all(ids.map((id) => this.#newKyberPrekey(LAST_RESORT + id))),
    });
    return rest.countKeys();
  }

  async #newSignedPrekey(id) {
    const key = signal.PrivateKey.generate();
    const publicKey = key.getPublicKey().serialize();
    const signature = this.identity.privateKey.sign(publicKey);
    const record = signal.SignedPreKeyRecord.new(id, Date.now(), key.getPublicKey(), key, signature);
    await this.stores.signedPrekeys.saveSignedPreKey(id, record);
    return { key_id: id, public_key: base64(publicKey), signature: base64(signature) };
  }

  async #newPrekey(id) {
    const key = signal.PrivateKey.generate();
    const record = signal.PreKeyRecord.new(id, key.getPublicKey(), key);
    await this.stores.prekeys.savePreKey(id, record);
    return { key_id: id, public_key: base64(key.getPublicKey().serialize()) };
  }

  async #newKyberPrekey(id) {
    const pair = signal.KEMKeyPair.generate();
    const publicKey = pair.getPublicKey().serialize();
    const signature = this.identity.privateKey.sign(publicKey);
    const record = signal.KyberPreKeyRecord.new(id, Date.now(), pair, signature);
    await this.stores.kyberPrekeys.saveKyberPreKey(id, record);
    return { key_id: id, public_key: base64(publicKey), signature: base64(signature) };
  }
}

/** What the device key signs: a label, and each field after its length in four bytes. */
function proofMessage(domain, challenge, accountId, deviceId, appToken) {
  const fields = [
    Buffer.from(domain),
    challenge,
    accountId,
    Buffer.from([deviceId]),
    createHash('sha256').update(appToken).digest(),
  ];
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    return [length, field];
  });
  return Buffer.concat([Buffer.from('sotto/auth/v1'), ...parts]);
}
