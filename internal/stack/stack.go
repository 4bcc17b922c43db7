// Package stack has the stacks of packages for tests of all four packages together. There is each
// package alone in each of its modes, and all of them without options, with their defaults, and
// with everything on. It also has the servers of the root package.
package stack

import (
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

var stacks = map[string]func(NewSessionFunc) NewSessionFunc{
	"bare":        func(next NewSessionFunc) NewSessionFunc { return next },
	"limits-zero": func(next NewSessionFunc) NewSessionFunc { return limits.New(nil).Wrap(next) },
	"limits": func(next NewSessionFunc) NewSessionFunc {
		return limits.New(defaults()).Wrap(next)
	},
	"limits-dry-run": dryRun,
	"vfolders":       func(next NewSessionFunc) NewSessionFunc { return vfolders.Wrap(next, nil) },
	"vfolders-noselect": func(next NewSessionFunc) NewSessionFunc {
		return vfolders.Wrap(next, &vfolders.Options{Mode: vfolders.NoSelect})
	},
	"copymeta-zero": func(next NewSessionFunc) NewSessionFunc { return copymeta.Wrap(next, nil) },
	"copymeta-preserve": func(next NewSessionFunc) NewSessionFunc {
		return copies(next, copymeta.Preserve)
	},
	"copymeta-reset": func(next NewSessionFunc) NewSessionFunc {
		return copies(next, copymeta.Reset)
	},
	"idle-zero": func(next NewSessionFunc) NewSessionFunc { return idle.Wrap(next, nil) },
	"idle-poll": func(next NewSessionFunc) NewSessionFunc {
		return idle.Wrap(next, &idle.Options{Mode: idle.Poll})
	},
	"zero": func(next NewSessionFunc) NewSessionFunc {
		return all(next, nil, idle.On, copymeta.Keep)
	},
	"defaults": func(next NewSessionFunc) NewSessionFunc {
		return all(next, defaults(), idle.On, copymeta.Keep)
	},
	"everything": func(next NewSessionFunc) NewSessionFunc {
		return all(next, defaults(), idle.Poll, copymeta.Preserve)
	},
}

// defaults are the default limits without those that take time: after a wrong password the next
// login would wait. A client that behaves does not reach them.
func defaults() *limits.Options {
	options := limits.DefaultOptions()
	options.MaxGuessDelay = 0
	return options
}

func dryRun(next NewSessionFunc) NewSessionFunc {
	options := defaults()
	options.DryRun = true
	return limits.New(options).Wrap(next)
}

func copies(next NewSessionFunc, policy copymeta.Policy) NewSessionFunc {
	return copymeta.Wrap(next, &copymeta.Options{InternalDate: policy, Flags: policy, Move: true})
}

func all(
	next NewSessionFunc, options *limits.Options, mode idle.Mode, policy copymeta.Policy,
) NewSessionFunc {
	next = copies(next, policy)
	next = vfolders.Wrap(next, nil)
	next = idle.Wrap(next, &idle.Options{Mode: mode})
	return limits.New(options).Wrap(next)
}

// servers are servers of the root package, which do more than wrap sessions.
var servers = map[string]func() *imapgate.Options{
	"idle-off": func() *imapgate.Options {
		return &imapgate.Options{Limits: &limits.Options{}, Idle: &idle.Options{Mode: idle.Off}}
	},
	"server": func() *imapgate.Options { return &imapgate.Options{} },
	"server-everything": func() *imapgate.Options {
		return &imapgate.Options{
			Idle:    &idle.Options{Mode: idle.Poll},
			Folders: &vfolders.Options{},
			Copy: &copymeta.Options{
				InternalDate: copymeta.Preserve, Flags: copymeta.Preserve, Move: true,
			},
		}
	},
}

// Server is go-imap's server or that of the root package.
type Server interface {
	Serve(ln net.Listener) error
	Close() error
}

// Names returns the names of all stacks and servers, in alphabetical order. "bare" is go-imap's
// server without any package.
func Names() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(stacks) {
			if !yield(name) {
				return
			}
		}
		maps.Keys(servers)(yield)
	})
}

// NewServer returns the server of that name, or go-imap's server with the stack of that name. The
// options make the sessions. It panics if the name is unknown.
func NewServer(name string, options *imapserver.Options) Server {
	if make, ok := servers[name]; ok {
		of := make()
		of.Server = *options
		server, err := imapgate.NewServer(of)
		if err != nil {
			panic(err)
		}
		return server
	}
	wrapped := *options
	wrapped.NewSession = Wrap(name, options.NewSession)
	return imapserver.New(&wrapped)
}

// Wrap puts the stack of that name around the sessions of next. It panics if the name is unknown.
func Wrap(name string, next NewSessionFunc) NewSessionFunc {
	stack, ok := stacks[name]
	if !ok {
		panic(fmt.Sprintf("stack: %q is none of %q", name, Names()))
	}
	return stack(next)
}
