import { useState } from "./html.js";

/**
 * Run something that may fail, from a button or a form: `busy` while it runs, `problem` as a sentence if it failed.
 * @param {(...args: any[]) => Promise<any>} work
 */
export function useTask(work) {
  const [task, setTask] = useState({ busy: false, problem: null });
  const run = async (...args) => {
    if (task.busy) return;
    setTask({ busy: true, problem: null });
    try {
      await work(...args);
      setTask({ busy: false, problem: null });
    } catch (error) {
      setTask({ busy: false, problem: error.message });
    }
  };
  return [run, task.busy, task.problem];
}
