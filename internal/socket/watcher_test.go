package socket_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/socket"
)

// patience is how long a test waits for what must happen at the next check, on a busy machine.
const patience = 20 * time.Second

func receive(t *testing.T, c <-chan struct{}, what string) {
	select {
	case <-c:
	case <-time.After(patience):
		assert.FailNow(t, what)
	}
}

func TestAWatcherCallsOnceForEachClientThatHangsUp(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	const clients = 300 // more than are asked at a time
	gone := make(chan int, 2*clients)
	conns := make([]net.Conn, clients)
	for i := range clients {
		server, client := pair(t)
		conns[i] = client
		w.Watch(socket.Of(server), func() { gone <- i })
	}
	for round := range 2 {
		want := map[int]bool{}
		for i := round; i < clients; i += 3 {
			want[i] = true
			conns[i].Close()
		}
		for len(want) > 0 {
			select {
			case i := <-gone:
				assert.True(t, want[i], "client %d", i)
				delete(want, i)
			case <-time.After(patience):
				assert.FailNow(t, "nobody notices", "%d are left", len(want))
			}
		}
	}
}

func TestAWatchThatIsStoppedDoesNotCall(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	stopped, stoppedClient := pair(t)
	watched, client := pair(t)
	watch := w.Watch(socket.Of(stopped), func() { assert.Fail(t, "it was stopped") })
	gone := make(chan struct{})
	w.Watch(socket.Of(watched), func() { close(gone) })
	watch.Stop()
	watch.Stop()
	stoppedClient.Close()
	client.Close()
	receive(t, gone, "the other one has hung up")

	// The last watch is over, and then a new one begins.
	watched, client = pair(t)
	gone = make(chan struct{})
	again := w.Watch(socket.Of(watched), func() { close(gone) })
	client.Close()
	receive(t, gone, "it has hung up")
	again.Stop()
}

// Both clients have hung up by the same check. The first callback stops the other watch.
func TestAWatchThatIsStoppedDuringALookDoesNotCall(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	var watches [2]*socket.Watch
	var mu sync.Mutex
	var calls atomic.Int32
	gone := make(chan struct{}, 2)
	mu.Lock()
	for i := range watches {
		server, client := pair(t)
		client.Close()
		s := socket.Of(server)
		soon(t, s.HungUp, "it has hung up")
		watches[i] = w.Watch(s, func() {
			mu.Lock()
			defer mu.Unlock()
			calls.Add(1)
			watches[1-i].Stop()
			gone <- struct{}{}
		})
	}
	mu.Unlock()
	receive(t, gone, "one has hung up")

	// At the next check at the earliest.
	server, client := pair(t)
	client.Close()
	last := make(chan struct{})
	w.Watch(socket.Of(server), func() { close(last) })
	receive(t, last, "the last one has hung up")
	assert.EqualValues(t, 1, calls.Load())
}

func TestAConnectionThatIsClosedOnThisSideIsNoticed(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	gone := make(chan int, 2)
	for i := range 2 { // with others before and after it
		server, _ := pair(t)
		w.Watch(socket.Of(server), func() { gone <- -1 })
		server, _ = pair(t)
		w.Watch(socket.Of(server), func() { gone <- i })
		server.Close()
	}
	for range 2 {
		select {
		case i := <-gone:
			assert.NotEqual(t, -1, i)
		case <-time.After(patience):
			assert.FailNow(t, "nobody notices")
		}
	}
}

// The timer can fire during a check, if nothing was watched for a moment.
func TestThereIsOneLookAtATime(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	var calls atomic.Int32
	gone := make(chan struct{}, 2)
	for range 2 {
		server, client := pair(t)
		client.Close()
		s := socket.Of(server)
		soon(t, s.HungUp, "it has hung up")
		w.Watch(s, func() {
			if calls.Add(1) == 1 {
				w.LookAgain()
				assert.EqualValues(t, 1, calls.Load())
			}
			gone <- struct{}{}
		})
	}
	receive(t, gone, "one has hung up")
	receive(t, gone, "the other one has hung up")
}

// Watches start and stop in several goroutines, also when the last one stops as a check begins.
func TestAWatcherUnderLoad(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	server, _ := pair(t)
	s := socket.Of(server)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 4 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				watches := make([]*socket.Watch, random.IntN(50))
				for i := range watches {
					watches[i] = w.Watch(s, func() { assert.Fail(t, "it is there") })
				}
				for _, watch := range watches {
					watch.Stop()
				}
			}
		})
	}
	time.AfterFunc(3*time.Second, func() { close(stop) })
	all.Wait()
	gone := make(chan struct{})
	watched, client := pair(t)
	w.Watch(socket.Of(watched), func() { close(gone) })
	client.Close()
	receive(t, gone, "it has hung up")
}

// Slow callbacks do not stop other sockets from being watched.
func TestACallThatTakesLongerThanALook(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	var w socket.Watcher
	first, firstClient := pair(t)
	second, secondClient := pair(t)
	release, gone := make(chan struct{}), make(chan struct{})
	w.Watch(socket.Of(first), func() {
		<-release
		close(gone)
	})
	firstClient.Close()
	other := make(chan struct{})
	time.AfterFunc(1500*time.Millisecond, func() { close(release) })
	w.Watch(socket.Of(second), func() { close(other) })
	secondClient.Close()
	receive(t, gone, "the first one")
	receive(t, other, "the second one")
}

// The cost of a check of sockets whose clients are connected.
//
//	go test -run '^$' -bench Look ./internal/socket
func BenchmarkLook(b *testing.B) {
	needsLinux(b)
	const sockets = 2000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	var w socket.Watcher
	for range sockets {
		server, _ := pairAt(b, listener)
		w.Watch(socket.Of(server), func() {})
	}
	for b.Loop() {
		w.Look()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sockets, "ns/socket")
}
