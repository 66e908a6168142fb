package p2p

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// LogTo sends what libp2p itself logs, for the whole process, to h. Without it
// libp2p writes its errors to standard error. Call it before the first Host is
// made.
func LogTo(h slog.Handler) { gologshim.SetDefaultHandler(h) }
