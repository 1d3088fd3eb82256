/** Reads the API's admins, tokens, shared links and second factors into typed values. */

import { asLabel, asList, asObject, asText, asTime } from "./values.js";

/** @typedef {import("../types.js").Admin} Admin */
/** @typedef {import("../types.js").ApiToken} ApiToken */
/** @typedef {import("../types.js").SharedLink} SharedLink */
/** @typedef {import("../types.js").Passkey} Passkey */

/**
 * @param {unknown} json
 * @returns {{admins: Admin[], you: string}}
 */
export function adminsFrom(json) {
  const answer = asObject(json);
  const admins = asList(answer.admins).map((each) => {
    const admin = asObject(each), refusal = asObject(admin.refusal);
    return {
      id: asText(admin.id) ?? "",
      email: asLabel(admin.email) || "unknown",
      role: asLabel(admin.role),
      disabled: admin.disabled === true,
      invited: admin.invited === true,
      secondFactor: admin.secondFactor === true,
      refused: admin.refused === true,
      refusal: admin.refusal ? { reason: asText(refusal.reason) ?? "", at: asTime(refusal.at) } : null,
      createdAt: asTime(admin.createdAt),
    };
  });
  return { admins, you: asText(answer.you) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {ApiToken[]}
 */
export function tokensFrom(json) {
  return asList(asObject(json).tokens).map((each) => {
    const token = asObject(each);
    return {
      id: asText(token.id) ?? "",
      name: asLabel(token.name) || "unknown",
      scopes: asList(token.scopes).map((scope) => asLabel(scope) ?? ""),
      madeBy: asLabel(token.madeBy) || "unknown",
      endsAt: asTime(token.endsAt),
      usedAt: asTime(token.usedAt),
      usedFrom: asLabel(token.usedFrom),
    };
  });
}

/**
 * @param {unknown} json
 * @returns {{name: string, secret: string}}
 */
export function newTokenFrom(json) {
  const { token, secret } = asObject(json);
  return { name: asLabel(asObject(token).name) ?? "", secret: asText(secret) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {SharedLink[]}
 */
export function linksFrom(json) {
  return asList(asObject(json).links).map((each) => {
    const link = asObject(each);
    return {
      id: asText(link.id) ?? "",
      label: asLabel(link.label) || "unknown",
      parts: asList(link.parts).map((part) => asLabel(part) ?? ""),
      madeBy: asLabel(link.madeBy) || "unknown",
      endsAt: asTime(link.endsAt),
    };
  });
}

/**
 * @param {unknown} json
 * @returns {{label: string, address: string}}
 */
export function newLinkFrom(json) {
  const { link, address } = asObject(json);
  return { label: asLabel(asObject(link).label) ?? "", address: asText(address) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {{secret: string, image: string}} `image` is a data: address, or empty
 */
export function totpSetupFrom(json) {
  const { secret, image } = asObject(json);
  const drawn = asText(image) ?? "";
  return { secret: asText(secret) ?? "", image: drawn.startsWith("data:image/svg+xml") ? drawn : "" };
}

/**
 * @param {unknown} json
 * @returns {string[]}
 */
export function recoveryCodesFrom(json) {
  return asList(asObject(json).recoveryCodes).map((code) => asLabel(code) ?? "");
}

/**
 * @param {unknown} json
 * @returns {Passkey[]}
 */
export function passkeysFrom(json) {
  return asList(asObject(json).passkeys).map((each) => {
    const passkey = asObject(each);
    return {
      id: asText(passkey.id) ?? "",
      name: asLabel(passkey.name) || "unnamed",
      createdAt: asTime(passkey.createdAt),
      usedAt: asTime(passkey.usedAt),
    };
  });
}

/**
 * @param {unknown} json
 * @returns {unknown} the browser's options for creating a passkey
 */
export function creationFrom(json) {
  return asObject(json).options;
}

/**
 * A link to choose a password; `link` is null if it was mailed, `problem` is the reason if it could not be.
 * @param {unknown} json
 * @returns {{email: string, link: string | null, endsAt: string | null, problem: string | null}}
 */
export function handoutFrom(json) {
  const { admin, link, endsAt, problem } = asObject(json);
  return {
    email: asLabel(asObject(admin).email) || "unknown",
    link: asText(link),
    endsAt: asTime(endsAt),
    problem: asText(problem),
  };
}
