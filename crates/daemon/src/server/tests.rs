use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;

const QUICK: Limits =
    Limits { connections: 2, head_time: Duration::from_millis(300), head_bytes: 8192, is_bounded: false };

fn start(limits: Limits) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let listener = bind("127.0.0.1:0".parse().unwrap(), Reach::Namespace).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = Shutdown::channel();
    let handle = |request: Request<Incoming>| async move {
        let body = read_body(request.into_body(), 4, Duration::from_millis(300)).await;
        let status = match body {
            Body::Whole(_) => 200,
            Body::TooLong => 413,
            Body::Unfinished => 408,
        };
        Response::builder().status(status).body(Full::new(Bytes::from_static(b"hello"))).unwrap()
    };
    (address, stop, tokio::spawn(serve(vec![listener], limits, handle, shutdown)))
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    read.expect("the server closes the connection").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn answers_and_drains() {
    let (address, stop, server) = start(QUICK);
    let mut idle = TcpStream::connect(address).await.unwrap();
    let answer = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("drained in time").unwrap();
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0, "an idle connection is closed");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn connections_inherit_the_hop_limit() {
    use rustix::net::sockopt::{ip_ttl, ipv6_unicast_hops};
    for (address, hops) in [
        ("127.0.0.1:0", (|stream: &TcpStream| ip_ttl(stream).unwrap()) as fn(&TcpStream) -> u32),
        ("[::1]:0", |stream| ipv6_unicast_hops(stream).unwrap().into()),
    ] {
        let listener = match bind(address.parse().unwrap(), Reach::Anyone) {
            Err(error) if is_absent(&error) => continue,
            bound => bound.unwrap(),
        };
        set_hop_limit(&listener, 3).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, _client) = tokio::join!(listener.accept(), client);
        let accepted = accepted.unwrap().0;
        assert_eq!(hops(&accepted), 3, "{address}");
        assert!(accepted.nodelay().unwrap(), "and what `bind` has set");
    }
}

#[tokio::test]
async fn a_slow_head_an_idle_connection_and_a_long_head_are_ended() {
    let (address, _stop, _server) = start(QUICK);
    let slow = exchange(address, b"GET / HTTP/1.1\r\nhost:").await;
    assert!(slow.is_empty() || slow.starts_with("HTTP/1.1 408"), "{slow}");
    let kept = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(kept.starts_with("HTTP/1.1 200") && kept.ends_with("hello"), "{kept}");
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "y".repeat(20_000));
    let long = exchange(address, long.as_bytes()).await;
    assert!(long.starts_with("HTTP/1.1 431"), "{long}");
}

/// Runs on paused time: a pair of pipes, and no kernel, is between the two.
fn kept(head_time: Duration, answer_takes: Duration) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4096);
    let (stop, finish) = Shutdown::channel();
    let handle = move |_| async move {
        tokio::time::sleep(answer_takes).await;
        Response::new(Full::new(Bytes::from_static(b"hello")))
    };
    tokio::spawn(async move {
        let _stop = stop;
        http1(server, Limits { head_time, ..QUICK }, handle, finish).await;
    });
    client
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn ask(client: &mut DuplexStream) {
    client.write_all(REQUEST).await.unwrap();
    let mut answer = [0; 1024];
    let length = client.read(&mut answer).await.unwrap();
    assert!(answer[..length].ends_with(b"hello"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_while_it_asks_and_ends_once_it_has_not_for_its_time() {
    let head_time = Duration::from_secs(10);
    for (pause, rest) in [(9, &b""[..]), (9, b"GET / HTTP/1.1\r\nslow: "), (0, b"GET / HT")] {
        let mut client = kept(head_time, Duration::ZERO);
        for _ in 0..5 {
            ask(&mut client).await;
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        ask(&mut client).await;
        let answered = Instant::now();
        client.write_all(rest).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        let idled = answered.elapsed();
        assert!(idled >= head_time && idled <= 2 * head_time, "{idled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_has_its_time_and_no_more() {
    let mut client = kept(Duration::from_secs(10), Duration::ZERO);
    let begun = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nslow: and slower" {
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_is_waited_for() {
    let mut client = kept(Duration::from_secs(1), Duration::from_mins(1));
    ask(&mut client).await;
    ask(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_never_reads_ends_like_one_who_idles() {
    let mut deaf = kept(Duration::from_secs(10), Duration::ZERO);
    let requests = REQUEST.repeat(10_000);
    let asking = tokio::time::timeout(Duration::from_mins(1), deaf.write_all(&requests));
    asking.await.expect("it ends before").expect_err("by being closed");
}

#[tokio::test]
async fn a_long_or_slow_body_is_refused() {
    let (address, _stop, _server) = start(QUICK);
    let long = b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12345";
    assert!(exchange(address, long).await.starts_with("HTTP/1.1 413"));
    let slow = b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\n1";
    assert!(exchange(address, slow).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_crowd_larger_than_the_cap_is_answered() {
    let (address, _stop, _server) = start(Limits { connections: 8, ..QUICK });
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            tokio::spawn(async move { exchange(address, request).await })
        })
        .collect();
    for client in clients {
        let answer = client.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn whoever_holds_connections_open_keeps_nobody_out() {
    let limits = Limits { connections: 3, head_time: Duration::from_hours(1), ..QUICK };
    let (address, _stop, _server) = start(limits);
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut deaf = TcpStream::connect(address).await.unwrap();
    // Asks, and never reads: what is written to it stays in the way for ever.
    let requests = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000_000);
    let asking = tokio::time::timeout(Duration::from_secs(1), deaf.write_all(&requests)).await;
    assert!(asking.is_err(), "the server does not read on while it can't write");
    for _ in 0..10 {
        let answer = exchange(address, b"GET / HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    assert!(is_closed(&mut silent).await, "the oldest was closed");
}

#[tokio::test]
async fn who_idles_makes_room_and_who_has_not_asked_yet_is_waited_for() {
    let (address, _stop, _server) = start(Limits { connections: 2, ..QUICK });
    let mut slow = TcpStream::connect(address).await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 1024];
    let length = kept.read(&mut answer).await.unwrap();
    assert!(answer[..length].ends_with(b"hello"));
    assert!(exchange(address, b"GET / HTTP/1.0\r\n\r\n").await.ends_with("hello"));
    assert!(is_closed(&mut kept).await);
    slow.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_crowd_that_connects_at_once_and_is_slow_to_ask_is_answered_to_the_last() {
    let (address, _stop, _server) = start(Limits { connections: 8, ..QUICK });
    let clients: Vec<_> = (0..24)
        .map(|number| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                tokio::time::sleep(Duration::from_millis(number)).await;
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                let mut answer = [0; 1024];
                let length = stream.read(&mut answer).await.unwrap();
                assert!(answer[..length].ends_with(b"hello"), "{number}");
                stream
            })
        })
        .collect();
    // Kept until the last has its answer.
    let mut kept = Vec::new();
    for client in clients {
        kept.push(client.await.unwrap());
    }
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(5), async { stream.read(&mut [0; 8]).await });
    read.await.is_ok_and(|read| read.unwrap_or(0) == 0)
}

/// Where strangers ask: no more than so many connections a second, a request on each, and a read of each now and then.
#[tokio::test]
async fn what_clients_can_cause_is_bounded_where_it_is_to_be() {
    let (address, _stop, _server) = start(Limits { connections: 32, is_bounded: true, ..QUICK });
    let begun = Instant::now();
    let answer = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    let rest = (0..10).map(|_| tokio::spawn(exchange(address, b"GET / HTTP/1.0\r\n\r\n")));
    for answer in rest.collect::<Vec<_>>() {
        assert!(answer.await.unwrap().starts_with("HTTP/1.0 200"));
    }
    let least = Duration::from_secs(1) / BOUNDED_RATE * 9;
    assert!(begun.elapsed() >= least, "eleven connections in {:?}", begun.elapsed());

    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in b"GET / HTTP/1.0\r\n\r\n" {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200"), "a slow client is still answered");
}
