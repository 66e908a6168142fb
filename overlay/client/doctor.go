package client

import (
	"context"

	"github.com/chorus-net/chorus/internal/wire"
)

// CheckState is how a check came out.
type CheckState string

// The states of a check.
const (
	CheckOK   CheckState = "ok"
	CheckWarn CheckState = "warn" // it works, and less well than it could
	CheckFail CheckState = "fail" // something does not work
)

// Check is one thing that the doctor looked at.
type Check struct {
	Name   string     `json:"name"` // peers, reach, clock, disk, ring, keys, pass or limits; of a guest role, too
	State  CheckState `json:"state"`
	Detail string     `json:"detail"`
	Fix    string     `json:"fix,omitempty"` // what to do, unless it is ok
}

// Diagnosis is what the doctor found.
type Diagnosis struct {
	Checks []Check `json:"checks"`
}

// Failed returns how many checks failed.
func (d Diagnosis) Failed() int {
	n := 0
	for _, c := range d.Checks {
		if c.State == CheckFail {
			n++
		}
	}
	return n
}

// Doctor looks at what the peer needs to work, and says what to do about what is wrong.
func (c *Client) Doctor(ctx context.Context) (Diagnosis, error) {
	var d Diagnosis
	_, err := c.call(ctx, wire.MethodCtlDoctor, nil, nil, &d)
	return d, err
}
