package redislimits

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
)

// ending is a context that ends as soon as somebody has found out that it has not.
type ending struct {
	context.Context
	end sync.Once
	f   func()
}

func (e *ending) Err() error {
	defer e.end.Do(e.f)
	return e.Context.Err()
}

// The cluster is closed before it has ever reached Redis, while a login is about to ask: there is
// nobody to ask.
func TestALoginWhileAClusterWithoutRedisIsClosed(t *testing.T) {
	for range 100 { // the login finds both channels closed, and takes either
		ctx, cancel := context.WithCancel(t.Context())
		c := &Cluster{
			options: Options{Timeout: time.Minute}, asking: make(chan struct{}, 1),
			ready: make(chan struct{}), absent: make(chan struct{}),
		}
		c.ctx = &ending{Context: ctx, f: func() {
			cancel()
			close(c.absent)
		}}
		_, err := c.call(nil, func(context.Context) rueidis.RedisResult {
			panic("there is no client")
		})
		assert.Error(t, err)
	}
}
