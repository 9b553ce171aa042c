// Shows what /status.json says, every two seconds. Text is only ever set as text.
const EVERY_MS = 2000, LOOKS = 60;
const count = new Intl.NumberFormat();
const all = (name) => document.querySelectorAll(`[data-v="${name}"]`);
const set = (name, text) => all(name).forEach((place) => { if (place.textContent !== text) place.textContent = text; });
const make = (tag, text = "", kind = "") => Object.assign(document.createElement(tag), { textContent: text, className: kind });
const looks = [];
let answered = Date.now();

function duration(seconds) {
  if (!(seconds > 0)) return "none";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${count.format(Math.floor(seconds / size))} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

const since = (status, moment) => (Date.parse(status.now) - Date.parse(moment)) / 1000;
const ago = (status, moment) => {
  if (!moment) return "never yet";
  const seconds = since(status, moment);
  return seconds < 2 ? "just now" : `${duration(seconds)} ago`;
};

function rate(name) {
  if (looks.length < 2) return null;
  const last = looks[looks.length - 1], first = looks[Math.max(0, looks.length - 6)];
  const seconds = (last.at - first.at) / 1000;
  return seconds > 0 ? Math.max(0, last.totals[name] - first.totals[name]) / seconds : null;
}

const perSecond = (value) => (value === null ? "" : `${value >= 10 ? count.format(Math.round(value)) : value.toFixed(1)}/s`);

function state(status, flow, moving) {
  const about = status.flows[flow], holds = status.holds.filter((hold) => hold.flow === flow);
  if (holds.length) return ["held", holds.every((hold) => hold.partition !== null) ? `held: ${holds.length} partition${holds.length > 1 ? "s" : ""}` : "held"];
  if (!about.enabled) return ["off", "not running"];
  if (!about.joined) return ["idle", "joining its group"];
  if (flow === "collect" && !status.open.collecting) return ["off", "standing by"];
  if (flow === "submit" && !about.partitions.length) return ["off", "standing by"];
  return moving ? ["moving", flow === "submit" ? "submitting" : "collecting"] : ["idle", "nothing to do"];
}

function flags(status) {
  for (const flag of ["live", "ready"]) {
    const place = document.querySelector(`[data-flag=${flag}]`), text = status[flag] ? flag : `not ${flag}`;
    place.className = status[flag] ? "" : "no";
    if (place.textContent !== text) place.textContent = text;
  }
  document.querySelector("[data-flag=draining]").hidden = !status.draining;
}

const NAMES = { submit: "Submitting", collect: "Collecting" };

function holds(status) {
  const place = document.getElementById("holds"), key = JSON.stringify(status.holds.map(({ since, ...rest }) => rest));
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    place.replaceChildren(...status.holds.map((hold) => {
      const card = make("div", "", "hold");
      const where = hold.partition === null ? "" : ` of partition ${hold.partition}`;
      card.append(make("h3", `${NAMES[hold.flow] || hold.flow}${where} is held: ${hold.reason}`), make("p", hold.words), make("p", hold.detail));
      const line = make("p", "Since ", "where");
      line.append(make("span", "", "since"), " · what to do: ", make("code", `deploy/runbook.md#${hold.reason}`));
      card.append(line);
      return card;
    }));
    if (!status.holds.length) place.append(make("p", "Nothing is held.", "calm"));
  }
  place.querySelectorAll(".since").forEach((span, at) => { span.textContent = ago(status, status.holds[at].since); });
}

function partitions(status) {
  const rows = Object.entries(status.lag_records), most = Math.max(1, ...rows.map(([, lag]) => lag));
  const body = document.getElementById("partitions");
  body.replaceChildren(...rows.map(([partition, lag]) => {
    const row = make("tr"), head = make("th", partition), bar = make("td", "", "bar"), fill = make("i");
    head.scope = "row";
    fill.style.width = `${(100 * lag) / most}%`;
    if (lag) bar.append(fill);
    row.append(head, make("td", count.format(lag), "number"), bar);
    return row;
  }));
  if (!rows.length) {
    const row = make("tr"), cell = make("td", "None: others own them.");
    cell.colSpan = 3;
    row.append(cell);
    body.append(row);
  }
}

function errors(status) {
  const list = document.getElementById("errors");
  list.replaceChildren(...status.last_errors.slice(0, 8).map((error) => {
    const line = make("li"), time = make("time", ago(status, error.at));
    time.dateTime = error.at;
    const where = error.partition === undefined ? "" : ` · partition ${error.partition}`;
    // A library's events are sentences, ours are names.
    const named = !error.event.includes(" ");
    line.append(make("b", named ? error.event : error.level, error.level), " ", time, where, make("br"), named ? error.detail : error.event);
    return line;
  }));
  if (!status.last_errors.length) list.append(make("li", "None since the start."));
}

function settings(status) {
  const body = document.getElementById("settings"), rows = Object.entries(status.settings);
  if (body.children.length === rows.length) return;
  body.replaceChildren(...rows.map(([name, value]) => {
    const row = make("tr"), head = make("th", name);
    head.scope = "row";
    row.append(head, make("td", value || "–"));
    return row;
  }));
}

function spark(name) {
  const steps = looks.slice(1).map((look, at) => Math.max(0, look.totals[name] - looks[at].totals[name]));
  const most = Math.max(1, ...steps), width = 120 / Math.max(1, LOOKS - 2);
  const points = steps.map((step, at) => `${(120 - (steps.length - 1 - at) * width).toFixed(1)},${(26 - (24 * step) / most).toFixed(1)}`);
  document.querySelector(`[data-spark=${name}] polyline`).setAttribute("points", points.join(" "));
}

function show(status) {
  looks.push({ at: Date.parse(status.now), totals: status.totals });
  if (looks.length > LOOKS) looks.shift();
  const { totals, open, flows } = status;
  const behind = Object.values(status.lag_records).reduce((sum, lag) => sum + lag, 0);
  const [submit, submitWords] = state(status, "submit", rate("submitted") > 0);
  const [collect, collectWords] = state(status, "collect", rate("published") > 0);
  Object.assign(document.body.dataset, { submit, collect });
  flags(status);
  for (const name of ["version", "replica"]) set(name, status[name]);
  set("up", duration(since(status, status.started_at)));
  set("behind", count.format(behind));
  for (const name of Object.keys(totals)) set(name, count.format(totals[name]));
  for (const name of ["consumed", "submitted", "published"]) set(`${name}_rate`, perSecond(rate(name)));
  set("submit_state", submitWords);
  set("collect_state", collectWords);
  set("submit_last", flows.submit.enabled ? `last ${ago(status, flows.submit.last_success_at)}` : "");
  set("collect_last", open.collecting ? `last ${ago(status, flows.collect.last_success_at)}` : "");
  set("open_items", open.collecting ? count.format(open.items) : "–");
  set("open_label", open.collecting ? "open items" : "the collector knows");
  set("ledger", open.collecting ? `ledger: ${count.format(open.items)} open` : "ledger");
  set("in_doubt", count.format(open.in_doubt));
  set("oldest_item", open.collecting ? duration(open.oldest_item_seconds) : "–");
  set("cursor", open.collecting ? ago(status, open.cursor_finished_at) : "–");
  set("input_topic", status.settings.TOLOKAD_KAFKA__INPUT_TOPIC || "");
  set("output_topic", status.settings.TOLOKAD_KAFKA__OUTPUT_TOPIC || "");
  set("toloka", (status.settings.TOLOKAD_TOLOKA__URL || "").replace(/^https?:\/\//, ""));
  set("summary", `Submitting: ${submitWords}. Collecting: ${collectWords}.`);
  holds(status);
  partitions(status);
  errors(status);
  settings(status);
  for (const name of ["submitted", "published"]) spark(name);
}

async function look() {
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    answered = Date.now();
  } catch (error) {
    set("silent_since", new Date(answered).toLocaleTimeString());
  }
  document.getElementById("silence").hidden = Date.now() - answered < 3 * EVERY_MS;
  setTimeout(look, EVERY_MS);
}

show(JSON.parse(document.getElementById("status").textContent));
setTimeout(look, EVERY_MS);
