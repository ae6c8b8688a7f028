// Rules for web/: what the CSP and the design ask for are errors here too.
import js from "@eslint/js";
import globals from "globals";

const MARKUP = ["innerHTML", "outerHTML", "srcdoc", "insertAdjacentHTML", "dangerouslySetInnerHTML"];
const noMarkup = [
  ...MARKUP.map((name) => ({ selector: `MemberExpression[property.name="${name}"]`, message: "Text is always text: no markup from strings." })),
  ...MARKUP.map((name) => ({ selector: `Property[key.name="${name}"]`, message: "Text is always text: no markup from strings." })),
  { selector: `TemplateElement[value.raw=/dangerouslySetInnerHTML|srcdoc/]`, message: "Text is always text: no markup from strings." },
  { selector: `TemplateElement[value.raw=/\\sstyle=/]`, message: "The CSP forbids style attributes: use a class." },
  { selector: `MemberExpression[object.name="document"][property.name=/^write(ln)?$/]`, message: "No document.write." },
  { selector: `CallExpression[callee.property.name=/^runPython(Async)?$/]`, message: "No Python from strings: call a function." },
];
const onlyFrom = (patterns, message) => ["error", { patterns: [{ group: patterns, message }] }];

export default [
  { ignores: ["web/vendor/**", "dist/**", "build/**"] },
  js.configs.recommended,
  {
    files: ["web/**/*.js"],
    languageOptions: { globals: { ...globals.browser, trustedTypes: "readonly" } },
    rules: {
      "no-console": ["error", { allow: ["error"] }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-syntax": ["error", ...noMarkup],
      "no-unused-vars": ["error", { varsIgnorePattern: "^_", ignoreRestSiblings: true }],
      complexity: ["error", 12],
      eqeqeq: ["error", "smart"],
      "max-lines": ["error", 300],
      "max-lines-per-function": ["error", { max: 40, skipComments: true, skipBlankLines: true }],
      "prefer-const": "error",
    },
  },
  {
    // The table of actions is one object, made in one function.
    files: ["web/actions.js"],
    rules: { "max-lines-per-function": "off" },
  },
  {
    files: ["web/views/*.js"],
    rules: {
      "max-lines": ["error", 100],
      "no-restricted-imports": onlyFrom(["../*", "!../components/", "!../components/*", "!../vendor/"], "Views draw: they import components and other views."),
    },
  },
  {
    files: ["web/components/*.js"],
    rules: { "no-restricted-imports": onlyFrom(["../*", "!../vendor/", "!../vendor/*"], "Components know nothing of the page.") },
  },
  {
    files: ["web/state.js", "web/link.js"],
    languageOptions: { globals: { ...globals.browser, window: "off", document: "off", location: "off", navigator: "off", fetch: "off" } },
    rules: { "no-restricted-imports": onlyFrom(["*"], "Pure: it imports nothing.") },
  },
  {
    files: ["web/worker.js", "web/boot.js", "web/store.js", "web/at_rest.js", "web/stretch_worker.js"],
    languageOptions: { globals: globals.worker },
  },
  {
    files: ["**/*.mjs", "eslint.config.js"],
    languageOptions: { globals: globals.node },
    rules: { "no-console": "off" },
  },
  {
    files: ["tests/web/fake/worker.js"],
    languageOptions: { globals: globals.worker },
  },
];
