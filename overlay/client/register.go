package client

import (
	"context"
	"fmt"

	"github.com/chorus-net/chorus/internal/wire"
)

// Register is a value that changes by compare-and-swap.
type Register struct {
	Key     string `json:"key"`
	Value   []byte `json:"value"`
	Version uint64 `json:"version"` // counts the changes; 0: it was never set
}

// Conflict is the error of a swap that expected another version than r's:
// ErrConflict.
func (r Register) Conflict(expected uint64) error {
	return &Error{
		Code:    CodeConflict,
		Message: fmt.Sprintf("swap %q: it is at version %d, not %d", r.Key, r.Version, expected),
		Fix:     fmt.Sprintf("peer get %s --register", r.Key),
	}
}

// CompareAndSwap sets the register of a key to value, at most 512 KiB less some
// bytes, if it is at version, which is 0 if it was never set; each change adds one. It
// returns the register as it is then, also beside the error ErrConflict, which says
// that the version was another one and nothing was changed. ErrQuorum leaves open
// whether the change was or will be made.
func (c *Client) CompareAndSwap(ctx context.Context, key string, version uint64, value []byte) (Register, error) {
	if err := checkKey(key); err != nil {
		return Register{}, err
	}
	var now wire.ControlSwapped
	held, err := c.callKeys(ctx, wire.MethodCtlSwap, wire.ControlSwap{Key: key, Version: version}, value, &now)
	if err != nil {
		return Register{}, err
	}
	r := Register{Key: key, Value: held, Version: now.Version}
	if now.Conflict {
		return r, r.Conflict(version)
	}
	return r, nil
}

// ReadRegister returns the register of a key as CompareAndSwap left it; one that
// was never set has version 0. It sees every change that returned before it began.
func (c *Client) ReadRegister(ctx context.Context, key string) (Register, error) {
	if err := checkKey(key); err != nil {
		return Register{}, err
	}
	var now wire.ControlSwapped
	value, err := c.callKeys(ctx, wire.MethodCtlRegister, wire.ControlGet{Key: key}, nil, &now)
	return Register{Key: key, Value: value, Version: now.Version}, err
}
