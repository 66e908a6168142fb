package client

import (
	"context"

	"github.com/chorus-net/chorus/internal/wire"
)

// Top asks all peers of the ring, up to 256, what they have to do. They are in the order
// of their names; one that does not answer within a second says why not.
func (c *Client) Top(ctx context.Context) ([]PeerLoad, error) {
	var peers []PeerLoad
	_, err := c.call(ctx, wire.MethodCtlTop, nil, nil, &peers)
	return peers, err
}

// Submit starts a job of one task for each input and returns its ID at once.
// The tasks run wherever a peer is idle.
func (c *Client) Submit(ctx context.Context, spec JobSpec) (string, error) {
	module := spec.Code.Module
	spec.Code.Module = nil
	var id wire.ControlName
	_, err := c.call(ctx, wire.MethodCtlSubmit, spec, module, &id)
	return id.ID, err
}

// Job returns the state of a job and the results so far.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var j Job
	_, err := c.call(ctx, wire.MethodCtlJob, wire.ControlName{ID: id}, nil, &j)
	return j, err
}

// Jobs returns the jobs that the peer submitted, newest first, without their
// results.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var jobs []Job
	_, err := c.call(ctx, wire.MethodCtlJobs, nil, nil, &jobs)
	return jobs, err
}

// Wait returns a job once it has ended, well or not.
func (c *Client) Wait(ctx context.Context, id string) (Job, error) {
	for {
		// The peer answers in time even if the job has not ended, so that no call
		// is open for hours.
		var j Job
		_, err := c.call(ctx, wire.MethodCtlWait, wire.ControlName{ID: id}, nil, &j)
		if err != nil || j.Ended() {
			return j, err
		}
	}
}

// CancelJob ends a job: tasks that wait are dropped, running ones stopped.
func (c *Client) CancelJob(ctx context.Context, id string) error {
	_, err := c.call(ctx, wire.MethodCtlCancel, wire.ControlName{ID: id}, nil, nil)
	return err
}
