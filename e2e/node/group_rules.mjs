// Who may change what in a group, written a second time from docs/protocol.md: a commit
// that breaks a rule is not followed, whatever the server says.

import { isSameButPolicy, policyIn, whoIs } from './group_context.mjs';
import { COMMITTER, SERVER } from './mls.mjs';

const MAX_ADDS = 512;
const MAX_DEVICES = 2000;

/** Demands that a commit to a group is allowed; `change` is what `MlsGroup.follow` gives. */
export function demandAllowed(extensions, members, change) {
  const policy = policyIn(extensions);
  const at = (index) => found(members, (member) => member.index === index, 'the leaf is there');
  const renewed = change.renewed && whoIs(change.renewed);
  const isOutside = change.committer === null;
  const committer = isOutside ? renewed : at(change.committer);
  demand(committer, 'who comes in from outside has a leaf');
  demand(!renewed || isSame(renewed, committer), 'a leaf names the same device for ever');

  const did = sort(change.proposals, isOutside);
  const isAdmin = ({ account }) => policy.admins.includes(account);
  const adds = did.adds.map(whoIs);
  const removals = did.removals.map(({ by, index }) => ({ by, removed: at(index) }));
  let after = policy;

  if (isOutside) {
    demand(members.some(({ account }) => account === committer.account), 'the account is in the group');
    const own = ({ by, removed }) => by === COMMITTER && isSame(removed, committer);
    demand(removals.every(own), 'who comes in from outside replaces its own leaf alone');
    demand(adds.length === 0 && !did.extensions, 'who comes in from outside changes nothing else');
  } else {
    const others = adds.filter(({ account }) => account !== committer.account);
    demand(others.length === 0 || isAdmin(committer) || policy.membersMayAdd, 'others are added by admins');
    for (const { by, removed } of removals.filter(({ by }) => by !== SERVER)) {
      const proposer = by === COMMITTER ? committer : at(by);
      demand(removed.account === proposer.account || isAdmin(proposer), 'others are removed by admins');
    }
    if (did.extensions) {
      demand(isAdmin(committer), 'the policy is changed by admins');
      demand(isSameButPolicy(extensions, did.extensions), 'the other extensions stay as they are');
      after = policyIn(did.extensions);
      const step = after.metadataHash === policy.metadataHash ? 0 : 1;
      demand(after.metadataVersion === policy.metadataVersion + step, 'the version counts the metadata');
    }
  }

  demand(adds.length <= MAX_ADDS, 'a commit adds as many as it may');
  const without = (some) => members.filter((one) => !some.some(({ removed }) => removed === one));
  const stay = without(removals);
  const left = [...stay, ...adds, ...(isOutside ? [committer] : [])];
  demand(new Set(left.map(nameOf)).size === left.length, 'each device is in the group once');
  demand(left.length <= MAX_DEVICES, 'the group has room');

  const hasAdmin = ({ admins }, some) => some.some(({ account }) => admins.includes(account));
  const fresh = after.admins.filter((account) => !policy.admins.includes(account));
  demand(fresh.every((admin) => left.some(({ account }) => account === admin)), 'new admins are members');
  const forced = without(removals.filter(({ by }) => by !== COMMITTER));
  demand(!hasAdmin(policy, forced) || hasAdmin(after, left), 'an admin is left');
}

/** Sorts proposals by what they do; there is none that groups do not have. */
function sort(proposals, isOutside) {
  const did = { adds: [], removals: [], extensions: null };
  for (const { by, kind, ...what } of proposals) {
    if (kind === 'remove') did.removals.push({ by, index: what.index });
    else if (kind === 'add' && by === COMMITTER) did.adds.push(what.identity);
    else if (kind === 'group_context_extensions' && by === COMMITTER) did.extensions = what.extensions;
    else demand(kind === 'external_init' && isOutside, 'groups have this kind of proposal');
  }
  return did;
}

const nameOf = ({ account, device }) => `${account} ${device}`;
const isSame = (one, other) => nameOf(one) === nameOf(other);

function found(members, is, what) {
  const member = members.find(is);
  demand(member, what);
  return member;
}

function demand(condition, what) {
  if (!condition) throw new Error(`the commit is not allowed, for this does not hold: ${what}`);
}
