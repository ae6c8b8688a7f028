import assert from "node:assert/strict";
import { test } from "node:test";
import { Field } from "../../web/components/field.js";

/** The elements of one type in what a component without state draws. */
function drawn(node, type) {
  if (Array.isArray(node)) return node.flatMap((child) => drawn(child, type));
  if (!node?.props) return [];
  return [...(node.type === type ? [node.props] : []), ...drawn(node.props.children, type)];
}

const field = (props) => Field({ id: "name", label: "Name", value: "", onInput: () => {}, ...props });

test("the hint of a field is read out with it, and what else is said of it", () => {
  const hinted = field({ hint: "At least 8 characters.", describedby: "more" });
  const [{ "aria-describedby": by }] = drawn(hinted, "input");
  assert.equal(by, "name-hint more");
  assert.deepEqual(drawn(hinted, "p").map(({ id, children }) => [id, children]), [["name-hint", "At least 8 characters."]]);
});

test("a field without a hint points at nothing that is not there", () => {
  assert.equal(drawn(field({ hint: "" }), "input")[0]["aria-describedby"], null);
  assert.deepEqual(drawn(field({}), "p"), []);
});
