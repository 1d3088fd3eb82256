import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { countsOf, sentencesOf } from "../../static/js/account-states.js";
import { limitOf, linkOf, nameOf, shareText } from "../../static/js/accounts.js";
import { figuresOf, isEmpty } from "../../static/js/figures.js";
import { createFormat } from "../../static/js/format.js";
import { hourPaceOf, paceOf } from "../../static/js/pace.js";
import { columns, paceOfLast, pictureOf, pointsOf, totalsOf } from "../../static/js/series.js";
import { otherEvents } from "../../static/js/terms.js";
import { canaryWords } from "../../static/js/ticking.js";
import { warningOf } from "../../static/js/trouble.js";
import { accountFrom, accountsFrom, activityFrom, marksFrom } from "../../static/js/wire/accounts.js";
import { adminsFrom, handoutFrom, linksFrom, newLinkFrom, newTokenFrom, totpSetupFrom, passkeysFrom, recoveryCodesFrom, tokensFrom } from "../../static/js/wire/people.js";
import { heartbeatFrom, snapshotFrom, trafficFrom } from "../../static/js/wire/snapshot.js";
import { snapshotOf } from "./helpers.js";

const format = createFormat("h23", "Europe/Berlin");
const NOW = Date.parse("2026-11-15T12:35:00Z");
const ODD = [
  null, true, false, 0, -5, 1.5, 2 ** 53, 2 ** 53 + 2, 1e300, -1e300, "", "   ", "yesterday", "15/11/2026 12:34", "1795722155000",
  "2026-11-15", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-9", "__proto__", "constructor",
  "\u202eabc", "a\u2028b\u2029c\u0085d", "a\u0000b", "..", "a/b", "</script><b>x", "x".repeat(20_000), "\ud800", "\u{1f600}",
  [], [null], [[]], ["x"], {}, { a: 1 }, { at: {} }, { sent: "x" }, { length: 3 },
]; // prettier-ignore
const ACCOUNT = {
  instagramId: "17841400000000001",
  username: "anna",
  isActive: true,
  createdAt: "2026-10-01T00:00:00Z",
  dmUsed: 900,
  dmReceived: 70,
  monthlyDmUsed: 40,
  currentMonth: "2026-11",
  monthlyDmLimit: 1000,
  lastDMSent: "2026-11-15T12:00:00Z",
  lastDMReceived: "2026-11-15T12:00:00Z",
  limitReachedAt: "2026-11-20T12:00:00Z",
  hourlyUse: { at: "2026-11-15T12:00:00Z", sent: 170, before: 20, limit: 200, limitReachedAt: null },
  states: ["near-limit", "silent", "new"],
};
const few = snapshotOf("1-1");
const SNAPSHOT = {
  ...few,
  series: Object.fromEntries(Object.entries(few.series).map(([name, buckets]) => [name, buckets.slice(-4)])),
  late: 1,
  perMinuteBefore: 40,
  since: "2026-11-14T00:00:00Z",
  audit: { at: "2026-11-15T12:30:00Z", drift: 0 },
  canary: { at: "2026-11-15T12:30:00Z", countedMs: 3, streamedMs: 1, shownMs: 900 },
  population: [{ at: "2026-11-10T00:00:00Z", activeAccounts: 30, users: 9 }],
  topAccounts: [ACCOUNT],
  accountStates: { at: "2026-11-15T12:30:00Z", counts: { "near-limit": 12, silent: 1 } },
};
const ACTIVITY = { at: "2026-11-15T12:30:00Z", hours: SNAPSHOT.series.hours, days: SNAPSHOT.series.days, hourlyDmLimit: 200 };

/** Each value of `json`, one after the other and however deep, replaced by each odd one, or left out. */
function* spoilt(json) {
  for (const value of ODD) yield value;
  if (typeof json !== "object" || json === null) return;
  // Of a list the first and the last stand for all.
  const keys = Array.isArray(json) ? [...new Set([0, json.length - 1])].filter((i) => i >= 0) : Object.keys(json);
  for (const key of keys) {
    for (const value of spoilt(json[key])) {
      const copy = Array.isArray(json) ? [...json] : { ...json };
      copy[key] = value;
      yield copy;
    }
    if (!Array.isArray(json)) {
      const rest = { ...json };
      delete rest[key];
      yield rest;
    }
  }
}

// eslint-disable-next-line no-control-regex
const UNREADABLE = /NaN|undefined|null|Infinity|\[object|Invalid|[\u202a-\u202e\u2028\u2029\u0085\u0000]/;

function readable(text, of) {
  assert.equal(typeof text, "string");
  // The message only where it is needed: written for every text, it took most of the time.
  if (UNREADABLE.test(text)) assert.fail(`${text}: ${JSON.stringify(of).slice(0, 300)}`);
  assert.ok(text.length < 300, text.length);
}

function drawAccount(account, of) {
  readable(nameOf(account), of);
  const link = linkOf(account);
  if (link !== null) assert.equal(new URL(link, "http://x").pathname, link);
  limitOf(account);
  readable(shareText(account, format), of);
  for (const n of [account.dmUsed, account.dmReceived, account.monthlyDmUsed]) readable(format.brief(n), of);
  for (const at of [account.lastDMSent, account.lastDMReceived, account.createdAt]) {
    if (at) readable(`${format.moment(at)} ${format.utc(at)} ${format.date(at)}`, of);
  }
  readable(format.month(account.currentMonth), of);
  for (const { text } of sentencesOf(account, format, () => 5)) readable(text, of);
  const pace = paceOf(account, NOW);
  if (pace) readable(`${format.brief(pace.perDay)} ${format.brief(pace.expected)} ${pace.reachedAt && format.moment(pace.reachedAt)}`.replace("null", ""), of);
}

test("it works", () => {
  assert.deepEqual(accountFrom(ACCOUNT), ACCOUNT);
  const snapshot = snapshotFrom(SNAPSHOT);
  assert.equal(snapshot.totalDMsSent, 1234567);
  assert.equal(snapshot.series.minutes.length, 4);
  assert.deepEqual(activityFrom(ACTIVITY).hourlyDmLimit, 200);
});

test("no value anywhere in a snapshot breaks a text of the page", () => {
  let seen = 0;
  for (const odd of spoilt(SNAPSHOT)) {
    const snapshot = snapshotFrom(odd);
    if (!snapshot) continue;
    seen += 1;
    for (const { text, exact = "", title = "" } of Object.values(figuresOf(snapshot, format))) {
      for (const each of [text, exact, title]) readable(each, odd);
    }
    for (const { name, text } of otherEvents(snapshot.events, format)) readable(name + text, odd);
    isEmpty(snapshot);
    for (const range of ["hour", "day", "month"]) {
      const points = pointsOf(snapshot, range);
      assert.ok(points.length <= 800);
      for (const column of columns(pictureOf(snapshot, range, "").points)) {
        assert.ok(column.every((n) => n === null || Number.isFinite(n)));
      }
      paceOfLast(points, range, snapshot.computedAt);
      totalsOf(points);
    }
    if (snapshot.canary) readable(canaryWords(snapshot.canary, { of: () => 5 }, format), odd);
    for (const { text } of countsOf(snapshot.accountStates, format)) readable(text, odd);
    for (const account of snapshot.topAccounts) drawAccount(account, odd);
  }
  assert.ok(seen > 3000, seen);
});

test("no value in a field of an account breaks its row, or costs another field", () => {
  for (const field of Object.keys(ACCOUNT)) {
    for (const value of ODD) {
      const account = accountFrom({ ...ACCOUNT, [field]: value });
      drawAccount(account, { field, value });
      assert.deepEqual({ ...account, [field]: 0 }, { ...ACCOUNT, [field]: 0 });
    }
  }
  for (const value of ODD) drawAccount(accountFrom(value), value);
});

test("one odd account leaves the others of a list where they are", () => {
  for (const value of ODD) {
    const page = accountsFrom({ accounts: [ACCOUNT, value, ACCOUNT], nextCursor: null, complete: true });
    assert.equal(page.accounts.length, 3);
    assert.deepEqual(page.accounts[2], ACCOUNT);
  }
  for (const value of ODD) assert.ok(Array.isArray(accountsFrom(value).accounts));
});

test("no value in an account's hours breaks its page", () => {
  for (const odd of spoilt(ACTIVITY)) {
    const activity = activityFrom(odd);
    const pace = hourPaceOf(activity);
    if (pace) readable(`${format.brief(pace.sent)} ${format.brief(pace.soFar)} ${format.time(pace.last.at)}`, odd);
    if (activity.at) pointsOf({ series: { minutes: [], hours: activity.hours, days: activity.days } }, "day");
  }
});

test("no value in what else is asked for breaks a page", () => {
  for (const odd of spoilt({ failingSince: "2026-11-15T12:00:00Z", disabledAt: "2026-11-15T13:00:00Z", silentSince: null, silence: "x" })) {
    const notice = warningOf(trafficFrom(odd), NOW, format);
    if (notice) readable(notice.text, odd);
  }
  for (const odd of spoilt({ admins: [{ id: "1", email: "a@b", disabled: false, createdAt: null, refusal: { reason: "no-role", at: "2026-11-15T12:00:00Z" } }], you: "1" })) {
    for (const { email, refusal } of adminsFrom(odd).admins) readable(`${email} ${refusal?.at ?? ""}`, odd);
  }
  for (const odd of spoilt({ at: "2026-11-15T12:00:00Z", live: true, version: "1-1" })) {
    assert.equal(typeof heartbeatFrom(odd).version, "string");
  }
});

test("what is absent is none, what is odd is unknown", () => {
  assert.equal(accountFrom({ ...ACCOUNT, monthlyDmLimit: null }).monthlyDmLimit, null);
  const unreadable = { ...ACCOUNT, monthlyDmLimit: null, lastDMSent: null, needsAttention: ["monthlyDmLimit"] };
  assert.equal(accountFrom(unreadable).monthlyDmLimit, undefined);
  assert.equal(accountFrom(unreadable).lastDMSent, null);
  assert.equal(accountFrom({ ...ACCOUNT, monthlyDmLimit: "1000" }).monthlyDmLimit, undefined);
  assert.equal(accountFrom({ ...ACCOUNT, lastDMSent: null }).lastDMSent, null);
  assert.equal(accountFrom({ ...ACCOUNT, lastDMSent: "yesterday" }).lastDMSent, undefined);
  assert.equal(accountFrom({ ...ACCOUNT, isActive: 1 }).isActive, null);
});

const TOO_NEW = /\.(toSorted|toReversed|toSpliced|with|findLast|findLastIndex|groupBy|replaceAll)\(|AbortSignal\.(timeout|any)|Promise\.withResolvers|structuredClone/;

test("the page's scripts use no method that browsers of 2022 do not have", () => {
  const folder = new URL("../../static/js/", import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith(".js"));
  assert.ok(names.length > 30);
  for (const name of names) {
    assert.doesNotMatch(readFileSync(new URL(name, folder), "utf8"), TOO_NEW, name);
  }
});

test("a link to hand out, whatever the answer looks like", () => {
  const answer = { admin: { email: "a@b" }, link: "https://x/password?link=1", endsAt: "2026-11-27T00:00:00.000Z", problem: "it is down" };
  assert.deepEqual(handoutFrom(answer), { email: "a@b", link: answer.link, endsAt: answer.endsAt, problem: answer.problem });
  for (const odd of spoilt(answer)) {
    const { email, problem, link } = handoutFrom(odd);
    readable(email, odd);
    for (const words of [problem, link]) assert.ok(words === null || typeof words === "string");
  }
});

test("tokens, whatever the answer looks like", () => {
  const token = { id: "1", name: "cron", scopes: ["refresh"], madeBy: "a@b", endsAt: "2026-11-27T00:00:00.000Z", usedAt: null, usedFrom: null };
  assert.deepEqual(tokensFrom({ tokens: [token] }), [token]);
  assert.deepEqual(newTokenFrom({ token, secret: "s" }), { name: "cron", secret: "s" });
  for (const odd of spoilt({ tokens: [token] })) {
    for (const { name, madeBy, scopes } of tokensFrom(odd)) readable(`${name} ${madeBy} ${scopes.join()}`, odd);
  }
  for (const odd of spoilt({ token, secret: "s" })) assert.equal(typeof newTokenFrom(odd).secret, "string");
});

test("shared links, and what Meta told about an account, whatever the answer looks like", () => {
  const link = { id: "1", label: "hall", parts: ["messages"], madeBy: "ada", endsAt: "2026-12-15T12:00:00Z" };
  assert.deepEqual(linksFrom({ links: [link] }), [link]);
  assert.deepEqual(newLinkFrom({ link, address: "https://x/shared/y" }), { label: "hall", address: "https://x/shared/y" });
  for (const odd of spoilt({ links: [link] })) {
    for (const { label, madeBy, parts } of linksFrom(odd)) readable(`${label} ${madeBy} ${parts.join()}`, odd);
  }
  for (const odd of spoilt({ link, address: "s" })) assert.equal(typeof newLinkFrom(odd).address, "string");
  assert.deepEqual(marksFrom({ deauthorizedAt: link.endsAt, deletionAskedAt: "soon" }), {
    deauthorizedAt: link.endsAt,
    deletionAskedAt: null,
  });
});

test("passkeys, whatever the answer looks like", () => {
  const passkey = { id: "a", name: "key", createdAt: "2026-11-15T12:00:00Z", usedAt: null };
  assert.deepEqual(passkeysFrom({ passkeys: [passkey] }), [passkey]);
  for (const odd of spoilt({ passkeys: [passkey] })) {
    for (const { name } of passkeysFrom(odd)) readable(name, odd);
  }
});

test("the set-up of a second factor, whatever the answer looks like", () => {
  const offer = { secret: "ABC", address: "otpauth://totp/x", image: "data:image/svg+xml,x" };
  assert.deepEqual(totpSetupFrom(offer), { secret: "ABC", image: offer.image });
  assert.equal(totpSetupFrom({ ...offer, image: "https://elsewhere/x.svg" }).image, "");
  for (const odd of spoilt(offer)) for (const each of Object.values(totpSetupFrom(odd))) assert.equal(typeof each, "string");
  for (const odd of spoilt({ recoveryCodes: ["a-b"] })) readable(recoveryCodesFrom(odd).join(), odd);
});
