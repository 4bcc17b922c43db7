package attack_test

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// The cost of an attack is measured in a process of its own. It is this test program, run again.

const asServer = "IMAPGATE_ATTACKED"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asServer); kind != "" {
		beAttacked(kind)
		return
	}
	os.Exit(m.Run())
}

// beAttacked is the server process. It runs until its standard input ends. It is go-imap's server
// with the default limits around its sessions, or that of the root package.
func beAttacked(kind string) {
	options := imapserver.Options{
		NewSession:   imaptest.Memory(imaptest.User("karen")),
		TLSConfig:    imaptest.ServerTLS(),
		InsecureAuth: true,
		Logger:       log.New(io.Discard, "", 0),
	}
	var server imaptest.Runner
	if kind == "guarded" {
		var err error
		if server, err = imapgate.NewServer(&imapgate.Options{Server: options}); err != nil {
			panic(err)
		}
	} else {
		options.NewSession = limits.New(limits.DefaultOptions()).Wrap(options.NewSession)
		server = imapserver.New(&options)
	}
	for _, secure := range []bool{false, true} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(ln.Addr())
		if secure {
			ln = tls.NewListener(ln, options.TLSConfig)
		}
		go server.Serve(ln)
	}
	io.Copy(io.Discard, os.Stdin)
}

// victim is such a server process.
type victim struct {
	tb            testing.TB
	plain, secure string
	pid           int
	atRest        int64
}

func newVictim(tb testing.TB, kind string) *victim {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asServer+"="+kind)
	stdin, err := command.StdinPipe()
	require.NoError(tb, err)
	stdout, err := command.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, command.Start())
	tb.Cleanup(func() {
		stdin.Close()
		command.Wait()
	})
	lines := bufio.NewScanner(stdout)
	v := &victim{tb: tb, pid: command.Process.Pid}
	for _, address := range []*string{&v.plain, &v.secure} {
		require.True(tb, lines.Scan())
		*address = lines.Text()
	}
	for _, transport := range transports { // the cost of a first connection is not the attack's
		c := v.dial(transport)
		require.NotNil(tb, c)
		c.Close()
	}
	v.atRest = v.status("VmRSS")
	return v
}

// status returns a value of the process in bytes.
func (v *victim) status(name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	require.NoError(v.tb, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == name+":" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			require.NoError(v.tb, err)
			return n << 10
		}
	}
	v.tb.Fatalf("%s is not in %s", name, text)
	return 0
}

// grown returns how many bytes larger than at rest the process has been at most.
func (v *victim) grown() int64 { return v.status("VmHWM") - v.atRest }

// anyServer accepts the certificate of the server process.
var anyServer = &tls.Config{InsecureSkipVerify: true}

var transports = []string{"plain", "TLS", "STARTTLS"}

// dial connects and reads the greeting. It returns nil if the server refuses.
func (v *victim) dial(transport string) net.Conn {
	address := v.plain
	if transport == "TLS" {
		address = v.secure
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	if transport == "TLS" {
		conn = tls.Client(conn, anyServer)
	}
	if !readLine(conn) {
		conn.Close()
		return nil
	}
	if transport == "STARTTLS" {
		io.WriteString(conn, "s STARTTLS\r\n")
		if !readLine(conn) {
			conn.Close()
			return nil
		}
		t := tls.Client(conn, anyServer)
		if t.Handshake() != nil {
			conn.Close()
			return nil
		}
		return t
	}
	return conn
}

// readLine reads a line byte by byte, so that it takes nothing of what follows.
func readLine(conn net.Conn) bool {
	b := make([]byte, 1)
	for b[0] != '\n' {
		if _, err := io.ReadFull(conn, b); err != nil {
			return false
		}
	}
	return true
}

// memoryAttack is text to send again and again, without reading an answer.
type memoryAttack struct {
	name  string
	once  string
	again string // sent for as long as the attack lasts
}

var (
	fill      = strings.Repeat("x", 50_000)
	literal   = "{4096+}\r\n" + strings.Repeat("y", 4096) + " "
	strangers = []memoryAttack{
		{"nothing", "", ""},
		{"SEARCH of 16,900 OR", "a SEARCH " + strings.Repeat("OR ", 16_900), ""},
		{"SEARCH of 12,000 NOT", "a SEARCH " + strings.Repeat("NOT ", 12_000), ""},
		{"SEARCH of 900 parentheses", "a UID SEARCH " + strings.Repeat("(", 900), ""},
		{"LIST of endless literals", `a LIST "" (`, literal},
		{"LOGIN of literals", "a LOGIN " + literal + literal + literal, ""},
		{"LOGIN of 50 KB", "a LOGIN \"" + fill, ""},
		{"a tag of 50 KB", fill, ""},
		{"AUTHENTICATE of 50 KB", "a AUTHENTICATE PLAIN " + fill, ""},
		{"APPEND of 50 KB", "a APPEND x {100000000+}\r\n" + fill, fill},
		{"lines", "", strings.Repeat("a FETCH 1 FLAGS\r\n", 1000)},
		{"no lines", "", fill},
	}
	users = []memoryAttack{
		{"nothing", "", ""},
		{"SEARCH of 16,900 OR", "a SEARCH " + strings.Repeat("OR ", 16_900), ""},
		{"SEARCH of 999 OR", "a SEARCH " + strings.Repeat("OR FROM a ", 999), ""},
		{"SEARCH of 12,000 NOT", "a SEARCH " + strings.Repeat("NOT ", 12_000), ""},
		{"LIST of endless literals", `a LIST "" (`, literal},
		{"SEARCH of endless literals", "a SEARCH TEXT ", literal + "TEXT "},
		{"CREATE of 50 KB", "a CREATE \"" + fill, fill},
		{"4.3 MB ahead", "a IDLE\r\n", fill},
	}
)

// attack runs the attack on n connections for a while. It returns how many bytes the server has
// grown.
func (v *victim) attack(
	transport string, n int, login bool, a memoryAttack, length time.Duration,
) int64 {
	var all sync.WaitGroup
	until := time.Now().Add(length)
	for range n {
		all.Go(func() {
			for time.Now().Before(until) {
				conn := v.dial(transport)
				if conn == nil {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				if login {
					io.WriteString(conn, "l LOGIN karen pass\r\nl SELECT INBOX\r\n")
				}
				a.on(conn, until)
				conn.Close()
			}
		})
	}
	all.Wait()
	return v.grown()
}

// on attacks until the server closes the connection, or the time is over.
func (a *memoryAttack) on(conn net.Conn, until time.Time) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, conn)
	}()
	conn.SetDeadline(until)
	_, err := io.WriteString(conn, a.once)
	for sent := 0; err == nil && a.again != "" && sent < 20<<20; sent += len(a.again) {
		_, err = io.WriteString(conn, a.again)
	}
	<-ended
}

// Attacks are measured over one transport each, in turn, or over all transports.
var (
	everyTransport = flag.Bool(
		"every-transport",
		false,
		"measure each attack over plain, TLS and STARTTLS",
	)
	attackTime = flag.Duration("attack-time", time.Second/2, "how long each measured attack lasts")
	goIMAP     = flag.Bool("go-imap", false, "attack go-imap's server too, to compare")
)

// The bytes by which an attack may make the server grow. There are 300 connections from one
// address, the most that the defaults allow, or the 20 sessions of one user, whatever they send.
const (
	mostByStrangers = 64_000_000
	mostByUser      = 128_000_000
)

// BenchmarkMemory prints what each attack costs the server of the root package, and fails if it is
// too much. With -go-imap it also prints what the attack costs go-imap's server with the default
// limits around its sessions. It is not a test, because the race detector needs more memory than
// any attack.
//
//	go test -run '^$' -bench Memory -benchtime 1x -timeout 1h ./internal/attack -attack-time 1m
func BenchmarkMemory(b *testing.B) {
	turn, kinds := 0, []string{"go-imap", "guarded"}
	if !*goIMAP {
		kinds = kinds[1:]
	}
	row := func(name string, n int, login bool, a memoryAttack, most int64) {
		over := transports[turn%len(transports):][:1]
		if turn++; *everyTransport {
			over = transports
		}
		for _, transport := range over {
			b.Run(name+"/"+a.name+"/"+transport, func(b *testing.B) {
				for b.Loop() {
					for _, kind := range kinds {
						grown := newVictim(b, kind).attack(transport, n, login, a, *attackTime)
						b.ReportMetric(float64(grown)/(1<<20), kind+"-MiB")
						if kind == "guarded" {
							assert.Less(b, grown, most)
						}
					}
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	for _, a := range strangers {
		row("300-strangers", 300, false, a, mostByStrangers)
	}
	for _, a := range users {
		row("20-sessions", 20, true, a, mostByUser)
	}
}
