// The REST interface: JSON in, JSON out, bytes as base64.

import { SignedOp, decodeDelimited } from './protos.mjs';

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
