const byId = id => document.getElementById(id);
// Text goes in as text: what a description says is never markup.
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const ask = async (path, body) => {
  const headers = {};
  if (byId("key").value) headers["X-API-Key"] = byId("key").value;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body)});
  const text = await response.text();
  // Numbers with more digits than JavaScript's are shown as they came.
  const found = JSON.parse(text, (name, value, context) =>
    typeof value === "number" && context && !(String(value) === context.source) ? context.source : value);
  if (response.status === 401) throw new Error(
    `This server asks for an API key${byId("key").value ? ", and this one is not valid" : ""}: enter it at the top.`);
  if (!response.ok) throw new Error(found.detail);
  return found;
};
const problem = error => make("p", {class: "problem", role: "alert"}, error.message);
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
