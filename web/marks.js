// Marks in this browser that outlast the page: that something was here, or was seen. They hold nothing of it.
// A browser that keeps no data for this site refuses even to be asked: then there are none. What that means is told by who
// opens the database (`storage_denied`).

function attempt(use) {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}

export const marked = (name) => attempt((marks) => marks.getItem(name)) !== null;
export const mark = (name) => void attempt((marks) => marks.setItem(name, "1"));
export const unmark = (name) => void attempt((marks) => marks.removeItem(name));
