"use strict";
const {tables, start} = "DATA";
const byId = id => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const children = {}, below = {};
for (const [name, table] of Object.entries(tables)) {
  for (const parent of table.parents) (children[parent] ||= []).push(name);
  for (const [column, {from}] of Object.entries(table.columns))
    for (const [parent, source, same] of from) (below[`${parent}\n${source}`] ||= []).push([name, column, same]);
}
// What lies above or below a table, each with its greatest distance, so that arrows lead from left to right.
const levels = (name, next) => {
  const found = new Map(), ahead = [[name, 0]];
  while (ahead.length) {
    const [at, distance] = ahead.pop();
    for (const other of next(at)) if ((found.get(other) || 0) < distance + 1 && distance < 60) {
      found.set(other, distance + 1);
      ahead.push([other, distance + 1]);
    }
  }
  return found;
};
// The columns that a column is made of, and that are made of it: by table, with how.
const chain = (table, column) => {
  const found = {[table]: {[column]: ""}};
  const walk = (next, words) => {
    const ahead = [[table, column]];
    while (ahead.length) for (const [name, other, same] of next(...ahead.pop())) {
      const known = found[name] ||= {};
      if (other in known) continue;
      known[other] = words(same);
      ahead.push([name, other]);
    }
  };
  walk((name, at) => tables[name]?.columns[at]?.from || [], same => same ? "taken as it is" : "computed with");
  walk((name, at) => below[`${name}\n${at}`] || [], same => same ? "taken as it is" : "computed from");
  return found;
};
let shown = {table: "", column: ""};
const show = (table, column) => {
  shown = {table, column};
  history.replaceState(null, "", `#${new URLSearchParams({table, ...(column && {column})})}`);
  // What monitors reads nearly every table: it would hide the tables that data flows through.
  const isShown = name => tables[table].isMonitoring || byId("watching").checked || !tables[name].isMonitoring;
  const above = levels(table, name => tables[name].parents.filter(isShown)), under = levels(table, name => (children[name] || []).filter(isShown));
  const follows = column ? chain(table, column) : null;
  const places = new Map([[table, 0]]);
  for (const [name, distance] of above) places.set(name, -distance);
  for (const [name, distance] of under) places.set(name, distance);
  const graph = byId("graph"), byPlace = new Map();
  // With a column chosen, tables that it does not pass through are left out: all others would hide it.
  for (const [name, place] of places) if (!follows || follows[name]) byPlace.set(place, [...(byPlace.get(place) || []), name]);
  graph.replaceChildren(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
  for (const place of [...byPlace.keys()].sort((a, b) => a - b))
    graph.append(make("div", {class: "level"}, ...byPlace.get(place).sort().map(name => card(name, name === table, follows))));
  const columns = Object.keys(tables[table].columns).length;
  byId("said").textContent = column
    ? `${table}.${column}: what stands left of it makes it, and what stands right of it uses it. Choose ${table} itself to see all tables.`
    : `${table}: ${tables[table].description || "no description."} ${counted(above.size, "table")} before it, ${under.size} after it. Choose one of its ${counted(columns, "column")} to follow it.`;
  document.title = `${table}${column && `.${column}`}: Assay lineage`;
  byId("find").value = "";
  lines();
  graph.querySelector(".center")?.scrollIntoView({inline: "center", block: "nearest"});
};
const card = (name, isCenter, follows) => {
  const table = tables[name], title = make("button", {type: "button"}, name);
  title.onclick = () => show(name, "");
  const article = make("article", {"data-table": name, ...(isCenter && {class: "center"})}, title, make("div", {}, make("small", {}, table.layer)));
  const listed = isCenter ? Object.keys(table.columns) : Object.keys(follows?.[name] || {});
  if (listed.length) article.append(make("ul", {}, ...listed.map(column => {
    const button = make("button", {type: "button"}, column), how = follows?.[name]?.[column];
    button.onclick = () => show(name, column);
    const isChosen = name === shown.table && column === shown.column;
    return make("li", isChosen ? {class: "chosen", "aria-current": "true"} : {}, button,
      make("small", {}, (!isCenter && how) || table.columns[column]?.type.toLowerCase() || ""));
  })));
  return article;
};
const lines = () => {
  const graph = byId("graph"), svg = graph.querySelector("svg"), box = graph.getBoundingClientRect();
  const cards = new Map([...graph.querySelectorAll("article")].map(card => [card.dataset.table, card.getBoundingClientRect()]));
  svg.replaceChildren();
  for (const [name, to] of cards) for (const parent of tables[name].parents) {
    const from = cards.get(parent);
    if (!from) continue;
    const x = from.right - box.left, y = from.top + from.height / 2 - box.top, left = to.left - box.left, top = to.top + to.height / 2 - box.top;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `M${x} ${y}C${x + 28} ${y} ${left - 28} ${top} ${left} ${top}`);
    if (shown.column) path.setAttribute("class", "follows");
    svg.append(path);
  }
};
const open = () => {
  const asked = new URLSearchParams(location.hash.slice(1)), table = asked.get("table");
  if (table in tables) show(table, asked.get("column") in tables[table].columns ? asked.get("column") : "");
  else if (start.table) show(start.table, start.column);
  else byId("said").textContent = "This project has no tables yet.";
};
for (const [name, table] of Object.entries(tables))
  byId("names").append(make("option", {value: name}), ...Object.keys(table.columns).map(column => make("option", {value: `${name}.${column}`})));
byId("find").onchange = () => {
  const wanted = byId("find").value.trim(), split = wanted.lastIndexOf("."), table = wanted.slice(0, split), column = wanted.slice(split + 1);
  if (wanted in tables) show(wanted, "");
  else if (table in tables && column in tables[table].columns) show(table, column);
  else {
    const near = Object.keys(tables).filter(name => name.includes(wanted)).slice(0, 5);
    byId("said").textContent = `There is no table or column ${wanted}.${near.length ? ` There are ${near.join(", ")}.` : ""}`;
  }
};
byId("watching").onchange = () => show(shown.table, shown.column);
addEventListener("resize", lines);
addEventListener("hashchange", open);
open();
