// The accounts that this device has seen, each as its verified chain has it.

import { replay } from './sigchain.mjs';

export class Chains {
  #rest;
  #accounts = new Map();

  constructor(rest) {
    this.#rest = rest;
  }

  /** An account, by its id or UUID; fetched anew where what is known is too old. */
  async account(name, atLeastSeq = 0) {
    const known = this.#accounts.get(name);
    return known && known.seq >= atLeastSeq ? known : this.fetch(name);
  }

  async fetch(name) {
    const account = replay(await this.#rest.ops(name));
    const known = this.#accounts.get(account.uuid);
    if (known && !account.hashes[known.seq]?.equals(known.head)) {
      throw new Error('the chain is not the one that was seen before');
    }
    for (const alias of [name, account.uuid, account.text]) this.#accounts.set(alias, account);
    return account;
  }
}
