/** The large chart: uPlot with a readout, a keyboard and the reader's colours. */

import { optionsFor, sizeOf } from "./chart-options.js";
import { annotationsByPoint } from "./annotations.js";
import { bandColumns, columns, totalsOf } from "./series.js";
import { THEME_CHANGED } from "./theme.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Annotation} Annotation */
/** @typedef {import("./types.js").Pair} Pair */
/** @typedef {import("./types.js").Picture} Picture */

const DAY_MS = 86_400_000;

/**
 * @param {object} parts
 * @param {HTMLElement} parts.box where the chart is drawn; a focusable slider over its points
 * @param {HTMLElement} parts.when names the point, or the whole range
 * @param {HTMLElement} parts.sent
 * @param {HTMLElement} parts.received
 * @param {HTMLElement} parts.pace the earlier figures, and what a bucket that is still filling comes to
 * @param {Format} format
 */
export function createChart({ box, when, sent, received, pace }, format) {
  /** @type {Picture} */
  let picture = { title: "", about: "", unit: "minute", points: [], isRunning: false, pace: null, comparison: null, to: null, expected: null };
  /** @type {Annotation[]} */
  let annotations = [];
  /** @type {Map<number, string[]>} the annotations of a point, by its index */
  let texts = new Map();
  /** @type {number | null} */
  let at = null;
  /** @type {uPlot | null} */
  let plot = null;
  const hidden = { sent: false, received: false };

  /** @param {number | null} index */
  function read(index) {
    at = index;
    const { points, comparison } = picture;
    const point = index === null ? null : points[index];
    if (index === null || !point) {
      const known = !points.length || points.some((each) => each.sent !== null || each.received !== null);
      show(picture.title, known ? totalsOf(points) : { sent: null, received: null }, picture.about, "");
      return;
    }
    const running = picture.isRunning && index === points.length - 1;
    const more = [
      before(comparison?.points[index] ?? null),
      running && picture.pace ? `At this rate: ${pair(picture.pace)}` : "",
      expectedText(picture, index, format),
      ...(texts.get(index) ?? []).map((text) => text.replace(/\.$/, "")),
    ];
    show(nameOf(picture, index, format), point, format.utc(point.at), more.filter(Boolean).join(". "));
  }

  /** @param {import("./types.js").Point | null} point */
  function before(point) {
    if (!picture.comparison) return "";
    return point ? `${format.bucket(picture.unit, point.at, true)}: ${pair(point)}` : "No counterpart";
  }

  /** @param {Pair} values */
  function pair(values) {
    return `${count(values.sent)} sent, ${count(values.received)} received`;
  }

  /** @param {number | null} n */
  function count(n) {
    return n === null ? "no data" : format.count(n);
  }

  /**
   * @param {string} name
   * @param {Pair} values
   * @param {string} about
   * @param {string} more
   */
  function show(name, values, about, more) {
    when.textContent = name;
    when.title = about;
    sent.textContent = count(values.sent);
    received.textContent = count(values.received);
    pace.textContent = more;
    box.setAttribute("aria-valuenow", String(at ?? picture.points.length - 1));
    box.setAttribute("aria-valuetext", `${name}: ${pair(values)}${more && `. ${more}`}`);
  }

  /** @param {number} index */
  function go(index) {
    if (!plot || !picture.points.length) return;
    const to = Math.max(0, Math.min(picture.points.length - 1, index));
    const data = /** @type {uPlot.AlignedData} */ (plot.data);
    plot.setCursor({ left: plot.valToPos(data[0][to] ?? 0, "x"), top: 0 }, false);
    read(to);
  }

  box.addEventListener("keydown", (event) => {
    const last = picture.points.length - 1;
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
      optionsFor(box, format, () => picture.unit, read, () => texts.keys()),
      allColumns(),
      box,
    );
    for (const which of /** @type {const} */ (["sent", "received"])) hide(which);
  }

  /** @returns {uPlot.AlignedData} */
  function allColumns() {
    const { points, comparison, expected } = picture;
    return [...columns(points, comparison?.points), ...bandColumns(points, expected?.points)];
  }

  /** @param {"sent" | "received"} which */
  function hide(which) {
    const first = which === "sent" ? 1 : 2;
    for (let series = first; series < (plot?.series.length ?? 0); series += 2) plot?.setSeries(series, { show: !hidden[which] });
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
    const size = sizeOf(box);
    if (plot && size.width && (size.width !== plot.width || size.height !== plot.height)) plot.setSize(size);
  }).observe(box);
  const recolour = () => plot && build();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  document.addEventListener(THEME_CHANGED, recolour);

  return {
    /** @param {Picture} next */
    draw(next) {
      const same = next.title === picture.title && next.unit === picture.unit;
      picture = next;
      texts = annotationsByPoint(picture.points, annotations, picture.to);
      box.setAttribute("aria-valuemin", "0");
      box.setAttribute("aria-valuemax", String(Math.max(0, picture.points.length - 1)));
      if (plot) plot.setData(allColumns());
      else build();
      if (same) read(at);
      else leave();
    },

    /** @param {Annotation[]} happened the annotations to mark, oldest first */
    mark(happened) {
      annotations = happened;
      texts = annotationsByPoint(picture.points, annotations, picture.to);
      plot?.redraw(false);
      read(at);
    },

    /**
     * @param {number} index
     * @returns {string} the text about a point besides its figures
     */
    remark: (index) => [expectedText(picture, index, format), ...(texts.get(index) ?? [])].filter(Boolean).join("; "),

    /** @returns {Picture} what is drawn, for the table */
    get picture() {
      return picture;
    },
  };
}

/**
 * @param {Picture} picture
 * @param {number} index
 * @param {Format} format
 * @returns {string} the name of a point, and whether it is only a part of its bucket
 */
export function nameOf({ points, unit, isRunning }, index, format) {
  const point = points[index];
  if (!point) return "";
  const name = format.bucket(unit, point.at, isFar(points, unit));
  if (isRunning && index === points.length - 1) return `${name}, so far`;
  return point.partial ? `${name}, in part` : name;
}

/**
 * @param {Picture} picture
 * @param {number} index
 * @param {Format} format
 * @returns {string} the expected range of a point, and whether it is outside; empty if unknown
 */
function expectedText({ expected }, index, format) {
  const usual = expected?.points[index];
  if (!usual) return "";
  const [sent, received] = [usual.sent, usual.received].map(({ low, high, outside }) => {
    return `${format.count(low)} to ${format.count(high)}${outside ? ` (it is ${outside})` : ""}`;
  });
  return `Expected: ${sent} sent, ${received} received`;
}

/**
 * @param {import("./types.js").Point[]} points
 * @param {import("./types.js").Unit} unit
 * @returns {boolean} whether an hour needs its date, or a day its year
 */
function isFar(points, unit) {
  const days = (Date.parse(points.at(-1)?.at ?? "") - Date.parse(points[0]?.at ?? "")) / DAY_MS;
  return days > (unit === "day" ? 300 : 6);
}
