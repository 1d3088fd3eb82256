/** Where the service begins on this host: "" at the top, else a path as "/stats". */

export const base = globalThis.document?.documentElement?.dataset?.base ?? "";
