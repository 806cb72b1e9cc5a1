// heat.js -- the heat map of a live picture: how strange each place is, painted over it (docs/formats/live.md).

const side_max = 32;
const faint = 0.4; // of the threshold; what is below is not painted
const full = 2; // thresholds; what is above looks alike
const alpha_max = 0.72;
const mild = [255, 205, 70];
const strong = [255, 45, 30];

/** {image, largest, is_more} of a live header; largest in thresholds, at least that when is_more. Null when there is none, or none that can be read. */
export function heatOf(header) {
  const {rows, columns, threshold, values} = header.heat ?? {};
  const isSide = side => Number.isInteger(side) && side >= 1 && side <= side_max;
  if (!isSide(rows) || !isSide(columns) || !(threshold > 0) || typeof values !== "string") return null;
  let bytes;
  try {
    bytes = Uint8Array.from(atob(values), letter => letter.charCodeAt(0));
  } catch {
    return null;
  }
  if (bytes.length !== rows * columns) return null;
  const image = Object.assign(document.createElement("canvas"), {width: columns, height: rows});
  const context = image.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  bytes.forEach((byte, index) => pixels.data.set(colourOf(byte / threshold), 4 * index));
  context.putImageData(pixels, 0, 0);
  const largest = Math.max(...bytes);
  return {image, largest: largest / threshold, is_more: largest === 255};
}

/** From nothing over yellow at the threshold to red: [red, green, blue, alpha], 0 to 255. */
function colourOf(value) {
  const share = Math.min(1, Math.max(0, (value - faint) / (full - faint)));
  const redness = Math.min(1, Math.max(0, value - 1) / (full - 1));
  return [...mild.map((part, index) => part + (strong[index] - part) * redness), 255 * alpha_max * Math.sqrt(share)];
}

/** area: {left, top, width, height} of the picture. */
export function paintHeat(context, heat, area) {
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(heat.image, area.left, area.top, area.width, area.height);
}
