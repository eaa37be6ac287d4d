// The REST interface: JSON in, JSON out, bytes as base64.

import { LogPage, SignedOp, decode, decodeDelimited } from './protos.mjs';

/** What the server said no to. */
export class Problem extends Error {
  constructor(status, body) {
    super(`${status} ${body.reason}: ${body.detail}`);
    this.status = status;
    this.reason = body.reason;
  }
}

export const base64 = (bytes) => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text) => Buffer.from(text, 'base64');

export class Rest {
  #base;
  #token = null;

  constructor(base) {
    this.#base = base;
  }

  /** The Sotto token that later requests show. */
  set token(token) {
    this.#token = token;
  }

  createAccount(genesis, appToken) {
    return this.#json('POST', '/v1/accounts', { genesis: signedOp(genesis), app_token: appToken });
  }

  /** All ops of a chain, as `{payload, sigs}`. `account` is its id or its UUID. */
  async ops(account) {
    const response = await this.#send('GET', `/v1/accounts/${account}/ops?from=0`);
    return decodeDelimited(SignedOp, Buffer.from(await response.arrayBuffer()));
  }

  resolve(handle) {
    return this.#json('GET', `/v1/u/${handle}`);
  }

  /** One bundle for each of these devices that has published keys. Uses up one-time keys. */
  bundles(account, deviceIds) {
    return this.#json('POST', `/v1/accounts/${account}/bundles`, { device_ids: deviceIds });
  }

  challenge() {
    return this.#json('POST', '/v1/auth/challenge', {});
  }

  buyToken(body) {
    return this.#json('POST', '/v1/auth/token', body);
  }

  putKeys(kind, body) {
    return this.#json('PUT', `/v1/keys/${kind}`, body);
  }

  countKeys() {
    return this.#json('GET', '/v1/keys/count');
  }

  /** KeyPackages of the live devices of these accounts. Uses up one-time ones. */
  async claimKeyPackages(accounts) {
    const answer = await this.#json('POST', '/v1/key-packages', { accounts });
    return answer.accounts;
  }

  externalSender() {
    return this.#json('GET', '/v1/groups/external-sender');
  }

  createGroup(body) {
    return this.#json('POST', '/v1/groups', body);
  }

  commit(group, body) {
    return this.#json('POST', `/v1/groups/${group}/commits`, body);
  }

  propose(group, proposal) {
    return this.#json('POST', `/v1/groups/${group}/proposals`, { proposal });
  }

  groupInfo(group) {
    return this.#json('GET', `/v1/groups/${group}/info`);
  }

  /** The ratchet tree of an epoch, compressed. */
  groupTree(group, generation, epoch) {
    return this.#octets(`/v1/groups/${group}/tree?generation=${generation}&epoch=${epoch}`);
  }

  /** A page of the log, as `{entries, head_seq}`. */
  async groupLog(group, after, limit) {
    const bytes = await this.#octets(`/v1/groups/${group}/log?after=${after}&limit=${limit}`);
    return decode(LogPage, bytes);
  }

  async welcomes() {
    const { welcomes } = await this.#json('GET', '/v1/groups/welcomes');
    return welcomes;
  }

  deleteWelcome(group, generation, epoch) {
    const path = `/v1/groups/${group}/welcome?generation=${generation}&epoch=${epoch}`;
    return this.#send('DELETE', path);
  }

  async #octets(path) {
    const response = await this.#send('GET', path);
    return Buffer.from(await response.arrayBuffer());
  }

  async #json(method, path, body) {
    const response = await this.#send(method, path, body);
    return response.json();
  }

  async #send(method, path, body) {
    const headers = {};
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    const response = await fetch(this.#base + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) throw new Problem(response.status, await problemOf(response));
    return response;
  }
}

function signedOp({ payload, sigs }) {
  return {
    payload: base64(payload),
    sigs: sigs.map(({ key, sig }) => ({ key: base64(key), sig: base64(sig) })),
  };
}

async function problemOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { reason: 'not_a_problem', detail: text };
  }
}
