import { useSignal } from "../signal";
import { toasts } from "../undo";

export function Toasts() {
  const shown = useSignal(toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((toast) => (
        <div key={toast.id} className="toast">
          <div>
            {toast.text}
            {toast.requestId && (
              <div className="small">
                Request id <code>{toast.requestId}</code>
              </div>
            )}
          </div>
          {toast.undo && (
            <button type="button" onClick={toast.undo}>
              Undo
            </button>
          )}
          <button type="button" className="quiet" aria-label="Close this message" onClick={toast.close}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
