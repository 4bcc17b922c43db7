package redislimits_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits/redislimits"
)

// fake is a Redis in memory that counts nothing. It answers each script with the same text, after
// the same time, so that tests in a bubble know exactly how long a login takes.
type fake struct {
	answer atomic.Pointer[string] // to each script; nil for none ever
	slow   atomic.Int64           // the time.Duration until then

	mu     sync.Mutex
	conns  []net.Conn
	leases map[string][]time.Time // when a script had the lease, by its name
}

func (f *fake) set(answer string) { f.answer.Store(&answer) }

func (f *fake) hang() { f.answer.Store(nil) }

func (f *fake) dial(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
	client, server := net.Pipe()
	f.mu.Lock()
	f.conns = append(f.conns, server)
	f.mu.Unlock()
	go f.serve(server)
	return client, nil
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		answer := "+OK\r\n"
		switch command[0] {
		case "HELLO":
			answer = "%1\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n"
		case "SUBSCRIBE":
			answer = ""
			for i, channel := range command[1:] {
				answer += fmt.Sprintf(">3\r\n+subscribe\r\n$%d\r\n%s\r\n:%d\r\n", len(channel), channel, i+1)
			}
		case "CLUSTER":
			answer = "-ERR This instance has cluster support disabled\r\n"
		case "PING":
			answer = "+PONG\r\n"
		case "EVALSHA", "EVAL":
			f.note(command)
			time.Sleep(time.Duration(f.slow.Load()))
			text := f.answer.Load()
			if text == nil {
				continue
			}
			answer = *text
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

var leaseName = regexp.MustCompile(`^[A-Z2-7]{16}\.[0-9a-z]+$`)

// note notes which leases a script has.
func (f *fake) note(command []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	has := make(map[string]bool)
	for _, word := range command {
		if leaseName.MatchString(word) {
			has[word] = true
		}
	}
	for name := range has {
		if f.leases == nil {
			f.leases = make(map[string][]time.Time)
		}
		f.leases[name] = append(f.leases[name], time.Now())
	}
}

// readCommand reads an array of strings.
func readCommand(r *bufio.Reader) ([]string, error) {
	number := func() (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		length, err := number()
		if err != nil {
			return nil, err
		}
		text := make([]byte, length+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:length])
	}
	return command, nil
}

const letIn = ":0\r\n"

// withFake runs a test in a bubble, with a Redis that lets all log in, and a node of it. The node
// has the default options.
func withFake(t *testing.T, test func(f *fake, c *redislimits.Cluster, logged logged)) {
	synctest.Test(t, func(t *testing.T) {
		f, logged := &fake{}, newLogged()
		f.set(letIn)
		o := redislimits.DefaultOptions()
		o.Logger = logged
		o.Client.InitAddress, o.Client.DialCtxFn = []string{"redis:6379"}, f.dial
		o.Client.Dialer.KeepAlive = time.Minute // few PINGs, as a test may take hours
		c, err := redislimits.New(o)
		require.NoError(t, err)
		time.Sleep(time.Second)
		test(f, c, logged)
		assert.NoError(t, c.Close())
		f.cut()
	})
}

// cut closes all connections.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		conn.Close()
	}
	f.conns = nil
}
