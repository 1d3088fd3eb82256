/** Reads the API's incidents and the results of test alerts into typed values. */

import { asLabel, asList, asNumber, asObject, asText, asTime, optional } from "./values.js";

/** @typedef {import("../types.js").Incident} Incident */

/** @param {unknown} json @returns {Incident} */
export function incidentFrom(json) {
  const incident = asObject(json);
  const runbook = asObject(incident.runbook);
  return {
    id: asText(incident.id) ?? "",
    name: asLabel(incident.name) ?? "",
    title: asLabel(incident.title) || "Incident",
    text: asLabel(incident.text) ?? "",
    beganAt: asTime(incident.beganAt),
    endedAt: optional(incident.endedAt, asTime),
    alerts: asList(incident.alerts).map((each) => {
      const alert = asObject(each);
      return {
        channel: asLabel(alert.channel) || "unknown",
        state: alert.state === "over" ? "over" : "open",
        toldAt: asTime(alert.toldAt),
        nextAt: asTime(alert.nextAt),
        attempts: asNumber(alert.attempts) ?? 0,
        problem: asLabel(alert.problem),
      };
    }),
    steps: asList(runbook.steps).map((step) => asText(step) ?? ""),
    section: asLabel(runbook.section) ?? "",
  };
}

/**
 * @param {unknown} json
 * @returns {{since: string | null, incidents: Incident[], complete: boolean, channels: string[]}}
 */
export function incidentsFrom(json) {
  const answer = asObject(json);
  return {
    since: asTime(answer.since),
    incidents: asList(answer.incidents).map(incidentFrom),
    complete: answer.complete !== false,
    channels: asList(answer.channels).map((name) => asLabel(name) || "unknown"),
  };
}

/**
 * @param {unknown} json
 * @returns {{channel: string, told: boolean, problem: string | null}[]}
 */
export function testedFrom(json) {
  return asList(asObject(json).channels).map((each) => {
    const { channel, told, problem } = asObject(each);
    return { channel: asLabel(channel) || "unknown", told: told === true, problem: asLabel(problem) };
  });
}
