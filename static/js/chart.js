/** The large chart: uPlot with a readout, a keyboard and the reader's colours. */

import { HEIGHT, optionsFor } from "./chart-options.js";
import { columns, isRunning, paceOfLast, pointsOf, sums } from "./series.js";
import { CHANGED } from "./theme.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./series.js").Point} Point */
/** @typedef {import("./types.js").Range} Range */

/** @typedef {import("./types.js").Charted} Charted */

/** @type {Record<Range, string>} */
const SPANS = { hour: "Last hour", day: "Last 24 hours", month: "Last 30 days" };

/**
 * @param {object} parts
 * @param {HTMLElement} parts.box where the chart is drawn; a focusable slider over its points
 * @param {HTMLElement} parts.when names the point, or the whole span
 * @param {HTMLElement} parts.sent
 * @param {HTMLElement} parts.received
 * @param {HTMLElement} parts.pace what the bucket that is still filling comes to at this pace
 * @param {Format} format
 * @param {Record<Range, string>} spans what each range is called
 */
export function createChart({ box, when, sent, received, pace }, format, spans = SPANS) {
  /** @type {Point[]} */
  let points = [];
  /** @type {Range} */
  let range = "hour";
  let unfinished = false;
  /** @type {number | null} */
  let at = null;
  /** @type {ReturnType<typeof paceOfLast>} */
  let projected = null;
  /** @type {uPlot | null} */
  let plot = null;
  const hidden = { sent: false, received: false };

  /** @param {number | null} index */
  function read(index) {
    at = index;
    const point = index === null ? null : points[index];
    if (!point) {
      const total = sums(points);
      show(spans[range], total.sent, total.received, "");
      return;
    }
    const running = unfinished && index === points.length - 1;
    const name = format.bucket(range, point.at) + (running ? ", so far" : "");
    show(name, point.sent, point.received, format.utc(point.at), running ? projected : null);
  }

  /**
   * @param {string} name
   * @param {number | null} out
   * @param {number | null} into
   * @param {string} utc
   * @param {typeof projected} whole
   */
  function show(name, out, into, utc, whole = null) {
    when.textContent = name;
    when.title = utc;
    sent.textContent = out === null ? "no data" : format.count(out);
    received.textContent = into === null ? "no data" : format.count(into);
    pace.textContent = whole ? `At this pace: ${format.count(whole.sent)} sent, ${format.count(whole.received)} received` : "";
    box.setAttribute("aria-valuenow", String(at ?? points.length - 1));
    const values = `${name}: ${sent.textContent} sent, ${received.textContent} received`;
    box.setAttribute("aria-valuetext", whole ? `${values}. ${pace.textContent}` : values);
  }

  /** @param {number} index */
  function go(index) {
    if (!plot || !points.length) return;
    const to = Math.max(0, Math.min(points.length - 1, index));
    const data = /** @type {uPlot.AlignedData} */ (plot.data);
    plot.setCursor({ left: plot.valToPos(data[0][to] ?? 0, "x"), top: 0 }, false);
    read(to);
  }

  box.addEventListener("keydown", (event) => {
    const last = points.length - 1;
    const here = at ?? last + 1;
    /** @type {Record<string, number>} */
    const moves = {
      ArrowLeft: here - 1,
      ArrowDown: here - 1,
      ArrowRight: at === null ? last : here + 1,
      ArrowUp: at === null ? last : here + 1,
      PageUp: here + 10,
      PageDown: here - 10,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (event.key === "Escape") leave();
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  box.addEventListener("blur", leave);

  function leave() {
    plot?.setCursor({ left: -10, top: -10 }, false);
    read(null);
  }

  function build() {
    plot?.destroy();
    plot = new uPlot(
      optionsFor(box, format, () => range, read),
      columns(points, unfinished),
      box,
    );
    for (const which of /** @type {const} */ (["sent", "received"])) hide(which);
  }

  /** @param {"sent" | "received"} which */
  function hide(which) {
    const first = which === "sent" ? 1 : 2;
    for (const series of [first, first + 2]) plot?.setSeries(series, { show: !hidden[which] });
  }

  for (const [which, value] of /** @type {const} */ ([["sent", sent], ["received", received]])) {
    const key = value.closest("button");
    key?.addEventListener("click", () => {
      hidden[which] = !hidden[which];
      key.setAttribute("aria-pressed", String(!hidden[which]));
      hide(which);
    });
  }

  new ResizeObserver(() => {
    if (plot && box.clientWidth && box.clientWidth !== plot.width)
      plot.setSize({ width: box.clientWidth, height: HEIGHT });
  }).observe(box);
  const recolour = () => plot && build();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  document.addEventListener(CHANGED, recolour);

  return {
    /**
     * @param {Charted} snapshot
     * @param {Range} wanted
     */
    draw(snapshot, wanted) {
      const turned = wanted !== range;
      range = wanted;
      points = pointsOf(snapshot, range);
      unfinished = isRunning(points, range, snapshot.computedAt);
      projected = paceOfLast(points, range, snapshot.computedAt);
      box.setAttribute("aria-valuemin", "0");
      box.setAttribute("aria-valuemax", String(Math.max(0, points.length - 1)));
      if (plot) plot.setData(columns(points, unfinished));
      else build();
      if (turned) leave();
      else read(at);
    },

    /** @returns {Point[]} what is drawn, for the table */
    get points() {
      return points;
    },

    /** @returns {boolean} whether the last of them is still filling */
    get unfinished() {
      return unfinished;
    },
  };
}
