/** How this device hears from the service, in words. */
export const CONNECTION = {
  online: "Connected",
  polling: "Connected, a little slower",
  offline: "Not connected",
};
