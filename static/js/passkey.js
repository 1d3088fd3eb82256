/** Passkeys: calls of the browser's WebAuthn API. */

/** @returns {boolean} whether this browser supports passkeys and their JSON form */
export function supportsPasskeys() {
  return typeof globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON === "function";
}

/**
 * @param {any} options from the server
 * @returns {Promise<unknown>} the new passkey, as JSON; rejects if the person or the browser does not want
 */
export async function createPasskey(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return asJson(await navigator.credentials.create({ publicKey }));
}

/**
 * @param {any} options from the server
 * @returns {Promise<unknown>} the server's challenge signed by a passkey, as JSON; rejects likewise
 */
export async function usePasskey(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return asJson(await navigator.credentials.get({ publicKey }));
}

/** @param {Credential | null} credential */
function asJson(credential) {
  if (!(credential instanceof PublicKeyCredential)) throw new DOMException("None", "NotAllowedError");
  return credential.toJSON();
}

/**
 * @param {unknown} error as the browser raises it
 * @returns {string} a message for the reader
 */
export function passkeyProblem(error) {
  switch (error instanceof Error ? error.name : "") {
    case "InvalidStateError":
      return "You already have a passkey on this device.";
    case "SecurityError":
      return "Passkeys do not work at this address.";
    case "NotAllowedError":
    case "AbortError":
      return "No passkey was used: the request was cancelled or took too long.";
    default:
      return "The device could not complete this.";
  }
}
